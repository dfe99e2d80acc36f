"""The reference page names every call, rule and fault there is, and its example runs."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import msgspec

from partnerhub.simulator import Rules, SimulatorConfig
from partnerhub.simulator.faults import CallAction, CallbackAction
from tests.simulator.harness import Meta

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "simulator.md").read_text(encoding="utf-8")


async def test_every_admin_call_is_documented(meta: Meta) -> None:
    document = await meta.admin("GET", "/schema/openapi.json")
    missing = []
    for path, item in document["paths"].items():
        if not path.startswith("/simulator/"):
            continue
        short = path.removeprefix("/simulator")
        missing += [
            f"{method.upper()} {path}" for method in item if f"`{path}" not in PAGE and short not in PAGE
        ]
    assert not missing


def test_every_rule_setting_and_fault_is_documented() -> None:
    names = [field.name for field in msgspec.structs.fields(Rules)]
    names += [field.name for field in fields(SimulatorConfig)]
    names += [*get_args(CallAction), *get_args(CallbackAction)]
    assert not [name for name in names if f"`{name}`" not in PAGE]


async def test_the_seeding_example_runs(meta: Meta) -> None:
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    made = await meta.admin("POST", "/seed", json.loads(example[1]))
    again = await meta.admin("POST", "/seed", json.loads(example[1]))
    assert made["numbers"] == again["numbers"]
    assert made["numbers"][0]["id"] == "400000000000001"
    meta.token = made["token"]
    answer = await meta.send("400000000000001", "4915112345678")
    assert answer.status == 200
