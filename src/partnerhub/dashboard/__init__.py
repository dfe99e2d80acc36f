"""The Partner Hub: pages for partners, one module per screen. Sign-in pages serve all three hubs."""

from __future__ import annotations

from partnerhub.web.navigation import Menu, N_, Section

MENU: Menu = (Section(entries=()),)
