"""Whole installations: real processes under the supervisor, spoken to over HTTP only."""
