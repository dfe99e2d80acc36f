"""Things that go wrong on request: what to match, what to do, how often.

A fault on a `call` changes an answer of Graph; a fault on a `callback` changes how a webhook is delivered.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from partnerhub.simulator.world import World

CallAction = Literal[
    "error",
    "failed_status",
    "latency",
    "reset_before",
    "reset_after",
    "malformed_json",
    "html_error",
    "expired_token",
    "no_statuses",
]
CallbackAction = Literal["duplicate", "reorder", "batch", "wrong_signature", "drop", "delay", "hold"]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One fault.

    Every matcher that is set must fit; `path` is a shell pattern over the path without version, such as
    `/*/messages`. `times` None lasts until deleted; `skip` lets that many matches pass first.
    """

    action: CallAction | CallbackAction
    id: str = ""
    on: Literal["call", "callback"] = "call"
    path: str | None = None
    method: str | None = None
    number_id: str | None = None
    waba_id: str | None = None
    recipient: str | None = None
    field: str | None = None
    status: str | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    code: int | None = None
    """Meta's error code for `error` and `failed_status`."""
    http_status: int | None = None
    details: str = ""
    seconds: float = 0.0
    """How long, for `latency`, `delay`, `reorder` (at most) and `batch` (how long to gather)."""
    count: int = 2
    """Copies for `duplicate`, changes for `batch`."""
    hits: int = 0


CALLBACK_ACTIONS = frozenset({"duplicate", "reorder", "batch", "wrong_signature", "drop", "delay", "hold"})


class Faults:
    """The faults in force."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults: dict[str, Fault] = {}
        self._serial = 0

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force and give it an id."""
        self._serial += 1
        fault.id = f"fault-{self._serial}"
        fault.on = "callback" if fault.action in CALLBACK_ACTIONS else "call"
        self._faults[fault.id] = fault
        return fault

    def in_force(self) -> list[Fault]:
        """Return the faults in force, oldest first."""
        return list(self._faults.values())

    def remove(self, fault_id: str) -> bool:
        """Lift one fault; False when there is none of that id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Lift all faults."""
        self._faults.clear()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in force; the hot path asks only this."""
        return not self._faults

    def match_call(
        self, *, method: str, path: str, number_id: str | None, waba_id: str | None, recipient: str | None
    ) -> list[Fault]:
        """Use up and return the faults that fit a Graph call."""
        return [
            fault
            for fault in list(self._faults.values())
            if fault.on == "call"
            and (fault.path is None or fnmatchcase(path, fault.path))
            and (fault.method is None or fault.method.upper() == method)
            and _fits(fault, number_id=number_id, waba_id=waba_id)
            and (fault.recipient is None or fault.recipient == recipient)
            and self._use(fault)
        ]

    def match_callback(
        self,
        *,
        number_id: str | None,
        waba_id: str,
        field: str,
        statuses: frozenset[str],
        actions: frozenset[str],
    ) -> list[Fault]:
        """Use up and return the callback faults of the given kinds that fit."""
        return [
            fault
            for fault in list(self._faults.values())
            if fault.on == "callback"
            and fault.action in actions
            and _fits(fault, number_id=number_id, waba_id=waba_id)
            and (fault.field is None or fault.field == field)
            and (fault.status is None or fault.status in statuses)
            and self._use(fault)
        ]

    def _use(self, fault: Fault) -> bool:
        if fault.skip > 0:
            fault.skip -= 1
            return False
        if fault.probability < 1.0 and self._world.ids.random.random() >= fault.probability:
            return False
        fault.hits += 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.pop(fault.id, None)
        return True


def _fits(fault: Fault, *, number_id: str | None, waba_id: str | None) -> bool:
    return (fault.number_id is None or fault.number_id == number_id) and (
        fault.waba_id is None or fault.waba_id == waba_id
    )
