"""What doors share: credentials, guards, tenant scope, error dialects, limits, page frame, outer wrapper."""
