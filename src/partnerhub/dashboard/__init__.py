"""The Partner Hub: pages for partners, one module per screen. Sign-in pages serve all three hubs."""
