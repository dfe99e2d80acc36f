"""Meta's numbers of time zones, for the zones that its dialog offers here and some that accounts often have.

Source: Marketing API reference, ad account time zone ids, v24.0; read 2026-11.
"""

from __future__ import annotations

from typing import Final

NUMBERS: Final = {
    "America/Los_Angeles": 1,
    "America/Chicago": 6,
    "America/New_York": 7,
    "Asia/Dubai": 8,
    "America/Argentina/Buenos_Aires": 10,
    "Europe/Vienna": 12,
    "Australia/Sydney": 15,
    "America/Sao_Paulo": 25,
    "America/Toronto": 35,
    "Europe/Zurich": 39,
    "America/Santiago": 41,
    "America/Bogota": 43,
    "Europe/Berlin": 47,
    "Europe/Madrid": 55,
    "Europe/Paris": 57,
    "Europe/London": 58,
    "Asia/Jakarta": 66,
    "Asia/Kolkata": 71,
    "Europe/Rome": 74,
    "America/Mexico_City": 94,
    "Europe/Amsterdam": 98,
    "Europe/Lisbon": 110,
    "Asia/Singapore": 128,
    "Africa/Johannesburg": 129,
}


def number_of(time_zone: str) -> str:
    """Return what `timezone_id` says: Meta's number as text; `0` (unknown) for UTC and zones not listed."""
    return str(NUMBERS.get(time_zone, 0))
