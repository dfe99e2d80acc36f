"""The front-end ground every page stands on: frames, components, styles, scripts, words in four languages.

Knows no domain: doors hand it values to show. How to build a page with it: `docs/reference/components.md`.
"""
