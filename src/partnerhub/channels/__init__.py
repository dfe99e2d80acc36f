"""Clients, their WABA accounts and numbers (channels), templates, keys and the channel life cycle.

It knows how a number comes to life and who may use it; it sends no message and prices nothing.
"""
