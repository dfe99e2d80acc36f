"""Who may see every partner's rows: the functions that open a unit as `hub_system` are this list.

Each entry is looked at by a reader before it is added: the function runs before a tenant is known, for all
tenants, or for the operator. Everything that acts for a person or key opens a tenant unit instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "partnerhub"
LIST = Path(__file__).parent / "system_role.txt"


def callers(tree: ast.Module, module: str) -> Iterator[str]:
    """Yield `module.function` for every place that asks a database for a system unit."""
    yield from _callers(tree, module)


def _callers(node: ast.AST, name: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _callers(child, f"{name}.{child.name}")
            continue
        # Also without a call: a bound method handed on would open the unit elsewhere.
        if isinstance(child, ast.Attribute) and child.attr == "system":
            yield name
        yield from _callers(child, name)


def found_in_source() -> set[str]:
    """Return every function of the source that asks for a system unit."""
    found: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found.update(callers(ast.parse(path.read_text()), module.removesuffix(".__init__")))
    return found


def listed() -> dict[str, str]:
    """Return the listed functions with the reason each has."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return {name.strip(): reason.strip() for name, _, reason in (line.partition(":") for line in lines)}


def test_only_listed_functions_open_a_system_unit() -> None:
    assert sorted(found_in_source() - set(listed())) == []


def test_the_list_names_nobody_who_does_not() -> None:
    assert sorted(set(listed()) - found_in_source()) == []


def test_every_entry_says_why() -> None:
    assert [name for name, reason in listed().items() if len(reason) < 10] == []


@pytest.mark.parametrize(
    "code",
    [
        "async def reader(db):\n    async with db.system() as unit:\n        pass",
        "async def reader(self):\n    async with self._db.system() as unit, self.lock:\n        pass",
        "def reader(db):\n    return run(db.system)",
        "async def reader(db):\n    opened = db.system()\n    async with opened as unit:\n        pass",
    ],
)
def test_a_new_function_is_found_however_it_asks(code: str) -> None:
    assert list(callers(ast.parse(code), "door.page")) == ["door.page.reader"]
