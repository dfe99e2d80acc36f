"""Meta's time zone numbers: spot checks at both ends, and every name exists."""

from __future__ import annotations

from zoneinfo import available_timezones

import pytest

from partnerhub.meta.time_zones import ZONES, zone_of
from partnerhub.simulator.time_zones import NUMBERS


def test_every_name_is_a_zone() -> None:
    assert set(ZONES.values()) <= available_timezones()
    assert len(ZONES) == len(set(ZONES.values())) == 142


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        ("1", "America/Los_Angeles"),
        ("25", "America/Sao_Paulo"),
        ("47", "Europe/Berlin"),
        ("71", "Asia/Kolkata"),
        ("142", "Africa/Lusaka"),
        ("0", None),
        ("143", None),
        ("Europe/Madrid", "Europe/Madrid"),
        ("Middle/Earth", None),
        (None, None),
    ],
)
def test_a_number_or_a_name_becomes_a_zone(given: str | None, zone: str | None) -> None:
    assert zone_of(given) == zone


def test_the_simulator_counts_as_meta_does() -> None:
    assert {name: zone_of(str(number)) for name, number in NUMBERS.items()} == {
        name: name for name in NUMBERS
    }
