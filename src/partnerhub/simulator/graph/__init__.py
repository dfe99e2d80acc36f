"""Graph API: one dispatcher over nodes and edges, one module per kind of node."""
