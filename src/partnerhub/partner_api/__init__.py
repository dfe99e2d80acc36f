"""The Partner API: `/api/v2`, and `/v1/partners` for the template calls of older clients.

A drop-in for existing clients: paths, status codes, names and bytes follow the Partner API reference. Every
handler reads the request, makes one domain call and shapes the answer; rules live in the domain.
"""
