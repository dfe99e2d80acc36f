"""The rules that count: throughput, pair rate, messaging limit, management calls.

Counters live in memory. The messaging limit is rebuilt from the stored messages at start; the others span
a minute at most or, for management calls, may well begin anew.
"""

from __future__ import annotations

from collections import deque

from partnerhub.simulator.config import DAY_SECONDS
from partnerhub.simulator.errors import GraphError
from partnerhub.simulator.model import Business, Number
from partnerhub.simulator.world import World

PAIR_INTERVAL_SECONDS = 6.0
PAIR_BURST = 45
THROUGHPUT = {"STANDARD": 80, "HIGH": 1000, "NOT_APPLICABLE": 80}
COEXISTENCE_THROUGHPUT = 20
TIERS: dict[str, int | None] = {
    "TIER_50": 50,
    "TIER_250": 250,
    "TIER_1K": 1_000,
    "TIER_2K": 2_000,
    "TIER_10K": 10_000,
    "TIER_100K": 100_000,
    "TIER_UNLIMITED": None,
    "UNTIERED": None,
}
_PRUNE_AT = 200_000


class Meter:
    """A leaky bucket per key: `rate` events a second, `burst` of them at once."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def take(self, key: str, *, now: float, interval: float, burst: int) -> bool:
        """Count one event; False when the key is over its rate."""
        due = max(self._next.get(key, now), now)
        # Half an interval of slack absorbs rounding: `burst` events at one instant must pass.
        if due - now > (burst - 0.5) * interval:
            return False
        self._next[key] = due + interval
        if len(self._next) > _PRUNE_AT:
            self._next = {name: moment for name, moment in self._next.items() if moment > now}
        return True

    def clear(self) -> None:
        """Forget all counts."""
        self._next.clear()


class Limits:
    """Counters of every number, pair, portfolio and app."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = Meter()
        self._pairs = Meter()
        self._opened: dict[str, dict[str, float]] = {}
        self._management: dict[tuple[str, str], deque[float]] = {}

    async def load(self) -> None:
        """Rebuild who was written to first in the last day."""
        rows = await self._world.store.query(
            "select opened_by, wa_id, max(at) from messages "
            "where opened_by is not null and at > ? group by 1, 2",
            (self._world.clock.time() - DAY_SECONDS,),
        )
        for business_id, wa_id, at in rows:
            assert isinstance(business_id, str)
            assert isinstance(wa_id, str)
            assert isinstance(at, float)
            self._opened.setdefault(business_id, {})[wa_id] = at

    def clear(self) -> None:
        """Forget all counts."""
        self._numbers.clear()
        self._pairs.clear()
        self._opened.clear()
        self._management.clear()

    def check_throughput(self, number: Number) -> None:
        """Count one message through a number. Raises: GraphError 130429 over its rate."""
        if not self._world.rules.throughput:
            return
        rate = COEXISTENCE_THROUGHPUT if number.is_on_biz_app else THROUGHPUT.get(number.throughput, 80)
        if not self._numbers.take(number.id, now=self._world.clock.time(), interval=1 / rate, burst=rate):
            raise GraphError(130429, "Cloud API message throughput has been reached.")

    def count_inbound(self, number: Number) -> None:
        """Count one received message against the number's throughput; receiving is never refused."""
        rate = THROUGHPUT.get(number.throughput, 80)
        self._numbers.take(number.id, now=self._world.clock.time(), interval=1 / rate, burst=rate)

    def check_pair(self, number: Number, wa_id: str) -> None:
        """Count one message to one user. Raises: GraphError 131056 over the pair rate."""
        if self._world.rules.pair_rate and not self._pairs.take(
            f"{number.id}:{wa_id}",
            now=self._world.clock.time(),
            interval=PAIR_INTERVAL_SECONDS,
            burst=PAIR_BURST,
        ):
            raise GraphError(
                131056,
                "Too many messages sent from this phone number to the same recipient in a short time.",
            )

    def open_conversation(self, business: Business, wa_id: str) -> bool:
        """Count a user written to first; False when the portfolio's limit is used up."""
        limit = TIERS.get(business.messaging_limit)
        now = self._world.clock.time()
        opened = self._opened.setdefault(business.id, {})
        if limit is not None and now - opened.get(wa_id, 0.0) >= DAY_SECONDS:
            if len(opened) >= limit:
                for user in [user for user, at in opened.items() if now - at >= DAY_SECONDS]:
                    del opened[user]
            if len(opened) >= limit:
                return False
        opened[wa_id] = now
        return True

    def count_management(self, app_id: str, waba_id: str, *, has_registered_number: bool) -> float:
        """Count one management call and return the share of the hour's allowance in use (0 to 1).

        Raises: GraphError 80007 when the allowance is used up.
        """
        allowance = 5_000 if has_registered_number else 200
        calls = self._management.setdefault((app_id, waba_id), deque())
        now = self._world.clock.time()
        while calls and now - calls[0] > 3_600:
            calls.popleft()
        if self._world.rules.management_limit and len(calls) >= allowance:
            raise GraphError(
                80007,
                message="(#80007) There have been too many calls to this WhatsApp Business account. "
                "Wait a bit and try again.",
            )
        calls.append(now)
        return len(calls) / allowance
