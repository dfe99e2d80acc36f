"""Partners: the software vendors that bring clients. Their settings, people, keys and legacy tokens.

The partner webhook and the platform secret are kept by `webhooks`; this package decides who may change them.
"""
