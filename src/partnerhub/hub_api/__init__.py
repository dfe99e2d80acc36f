"""The hub's own API: `/api/hub/v1`, everything the dashboard can do that `/api/v2` has no word for.

The same services as the dashboard's, so that the two cannot drift. Answers are plain JSON objects; errors are
problem documents (see `web.dialects`) with every wrong input in `problems`.
"""
