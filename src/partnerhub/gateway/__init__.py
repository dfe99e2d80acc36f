"""The Messaging API at the host's root, and the callback that Meta calls: plain ASGI, the hot path."""
