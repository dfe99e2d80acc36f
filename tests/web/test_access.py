"""The access matrix finds what is missing, and no route is open by oversight."""

from __future__ import annotations

import pytest
from litestar import get

from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Database
from partnerhub.web.access import HUB_ROWS, OPEN, Caller, Outcome, problems
from partnerhub.web.access_check import check
from partnerhub.web.access_gateway import GATEWAY_ROWS
from partnerhub.web.guards import RouteUnguarded
from tests.web.conftest import make_application


@get("/forgotten")
async def forgotten() -> str:
    """Have no guard."""
    return "everybody reads this"


def test_a_route_without_guard_does_not_start(database: Database, keyring: Keyring) -> None:
    with pytest.raises(RouteUnguarded, match="/forgotten"):
        make_application(database, keyring, handlers=[forgotten])


def test_operations_name_methods_paths_and_hot_routes(database: Database, keyring: Keyring) -> None:
    operations = make_application(database, keyring).operations
    assert "GET /api/v2/partners/{partner_id}/things" in operations
    assert "POST /api/v2/partners/{partner_id}/things" in operations
    assert "GET /hot" in operations
    assert not [operation for operation in operations if operation.startswith("OPTIONS")]


def test_a_route_without_a_row_and_a_row_without_a_route_are_named() -> None:
    assert problems(["GET /a", "GET /b"], {"GET /a": OPEN, "GET /c": OPEN}) == [
        "GET /b: no row in the access matrix",
        "GET /c: a row without an operation",
    ]


def with_a_hole() -> dict[str, list[str]]:
    """Return what an installation with one new route would answer to."""
    return {"hub": [*HUB_ROWS, "GET /dashboard/new"], "gateway": list(GATEWAY_ROWS)}


def test_the_check_of_the_tree_names_the_process_and_the_route() -> None:
    assert check("tests.web.test_access:with_a_hole") == [
        "hub: GET /dashboard/new: no row in the access matrix"
    ]


def test_a_row_knows_every_caller() -> None:
    row = OPEN.but(other_key=Outcome.FORBIDDEN)
    assert {caller: row.expected(caller) for caller in Caller} == {
        **dict.fromkeys(Caller, Outcome.PASSES),
        Caller.OTHER_KEY: Outcome.FORBIDDEN,
    }
