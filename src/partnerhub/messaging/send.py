"""One send: price it, reserve, call Meta once, remember what it is called, and pass the answer on.

The order is the promise. Money is reserved before Meta hears of the message and given back only when Meta
said no; when nobody can tell, the reservation stays open and the status that Meta sends for the message
adopts it. Nothing is ever sent twice, and an accepted message is never answered with an error: a client that
reads an error sends again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from partnerhub.kit import logs
from partnerhub.kit.database import Database
from partnerhub.kit.errors import HubError
from partnerhub.kit.ids import uuid7
from partnerhub.ledger import queries as ledger
from partnerhub.ledger.errors import PaymentMissing
from partnerhub.ledger.gate import Gate
from partnerhub.ledger.schemas import Category, ReserveOrder
from partnerhub.messaging.bodies import SendBody, read_send
from partnerhub.messaging.journal import Journal, SentMessage
from partnerhub.messaging.recipients import canonical
from partnerhub.messaging.routes import LiveRoute
from partnerhub.messaging.templates import TemplateBook
from partnerhub.messaging.verdicts import Outcome, Verdict, judge
from partnerhub.meta.codes import RetryClass
from partnerhub.meta.errors import MetaError
from partnerhub.meta.graph import Graph, GraphAnswer

Edge = Literal["messages", "marketing_messages"]

# Meta charges for deliveries and reports `sent` for a reaction and nothing after it, so a reservation would
# never settle. It is never charged: the settle loop passes over what was free to send.
_FREE_TYPES: Final = frozenset({"reaction"})
# A group has eight members at most, and each one who gets the message is charged. The hub does not know the
# members, so it reserves for all of them; what is not delivered is given back.
GROUP_MEMBERS: Final = 8
# Longer than any commit that still has a chance; a client that waits longer would send again.
_FINISH_SECONDS: Final = 3.0

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class SendResult:
    """Meta's answer, and what came of the send: `signal`, `accepted`, `refused` or `unclear`."""

    answer: GraphAnswer
    outcome: str
    wamid: str | None = None
    code: int | None = None


class Sends:
    """Sends messages for one process."""

    def __init__(
        self,
        *,
        gate: Gate,
        graph: Graph,
        templates: TemplateBook,
        journal: Journal,
        database: Database,
        block_free_at_zero: bool = False,
    ) -> None:
        """With `block_free_at_zero`, messages that cost nothing need an available balance too."""
        self._gate = gate
        self._graph = graph
        self._templates = templates
        self._journal = journal
        self._database = database
        self._block_free_at_zero = block_free_at_zero
        self._finishing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for what still follows answers that were given."""
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=_FINISH_SECONDS)

    async def send(self, live: LiveRoute, body: bytes, *, edge: Edge = "messages") -> SendResult:
        """Send a message, a read receipt or a typing indicator with the body of the client.

        Raises: InvalidMessage, PaymentMissing, Unavailable (nothing was sent); MetaError when Meta gave no
        answer that can be passed on (its `retry_class` says whether the message may have been sent).
        """
        message = read_send(body)
        if message.is_signal or message.type in _FREE_TYPES:
            return await self._send_free(live, message, edge)
        order = await self._order(live, message, edge)
        await self._gate.reserve(order)
        try:
            answer = await self._call(live, message, edge)
        except MetaError as error:
            if error.retry_class is RetryClass.AMBIGUOUS:
                await self._finish(self._record(live, message, order, wamid=None))
            else:
                await self._finish(self._gate.release(order.partner_id, order.key, "not_sent"))
            raise
        except HubError:
            # Our own client refused to write the request.
            await self._finish(self._gate.release(order.partner_id, order.key, "not_sent"))
            raise
        verdict = judge(answer.status, answer.body)
        match verdict.outcome:
            case Outcome.ACCEPTED:
                assert verdict.wamid is not None
                await self._finish(
                    self._gate.bind(order.partner_id, order.key, verdict.wamid),
                    self._record(live, message, order, wamid=verdict.wamid, told=verdict.recipient),
                )
            case Outcome.SIGNAL:
                # A status stood beside the recipient, and Meta read the status.
                await self._finish(self._gate.release(order.partner_id, order.key, "signal"))
            case Outcome.REFUSED:
                reason = f"refused_{verdict.code or answer.status}"
                await self._finish(self._gate.release(order.partner_id, order.key, reason))
            case Outcome.UNCLEAR:
                await self._finish(self._record(live, message, order, wamid=None))
        return _passed_on(answer, verdict)

    async def _send_free(self, live: LiveRoute, message: SendBody, edge: Edge) -> SendResult:
        if self._block_free_at_zero and not message.is_signal:
            await self._check_balance(live)
        answer = await self._call(live, message, edge)
        verdict = judge(answer.status, answer.body)
        if message.is_signal:
            if not verdict.is_metas:
                raise _unreadable(answer, verdict)
            return SendResult(answer, "signal", code=verdict.code)
        if verdict.outcome is Outcome.ACCEPTED:
            await self._finish(self._record(live, message, None, wamid=verdict.wamid, told=verdict.recipient))
        return _passed_on(answer, verdict)

    async def _check_balance(self, live: LiveRoute) -> None:
        route = live.route
        async with self._database.tenant(route.partner_id) as unit:
            wallets = await ledger.get_balance(unit, partner_id=route.partner_id)
        if not any(wallet.currency == route.currency and wallet.available > 0 for wallet in wallets):
            raise PaymentMissing("The balance is zero or less.")

    async def _order(self, live: LiveRoute, message: SendBody, edge: Edge) -> ReserveOrder:
        route = live.route
        category = await self._category(live, message, edge)
        order = ReserveOrder(
            partner_id=route.partner_id,
            key=uuid7(),
            reference=route.channel_id,
            recipient=message.recipient,
            category=category or Category.MARKETING,
            currency=route.currency,
            time_zone=route.time_zone,
            participants=GROUP_MEMBERS if message.is_group else 1,
        )
        return order if category is not None else replace(order, category=self._gate.dearest(order))

    async def _category(self, live: LiveRoute, message: SendBody, edge: Edge) -> Category | None:
        """Return what the message is priced as, or None for a template we have not heard of."""
        if edge == "marketing_messages":
            return Category.MARKETING
        if message.type != "template":
            return Category.SERVICE
        known = await self._templates.find_category(
            waba_id=live.route.waba_id, name=message.template, language=message.language
        )
        try:
            return None if known is None else Category(known.lower())
        except ValueError:
            return None

    async def _call(self, live: LiveRoute, message: SendBody, edge: Edge) -> GraphAnswer:
        return await self._graph.call(
            "POST",
            f"/{live.route.phone_number_id}/{edge}",
            token=live.token,
            body=message.forward,
            content_type="application/json",
        )

    async def _record(
        self,
        live: LiveRoute,
        message: SendBody,
        order: ReserveOrder | None,
        *,
        wamid: str | None,
        told: str = "",
    ) -> None:
        """Write the message down; `told` is whom Meta says it goes to."""
        row = SentMessage(
            id=order.key if order is not None else uuid7(),
            partner_id=live.route.partner_id,
            channel_id=live.route.channel_id,
            wamid=wamid,
            recipient=message.recipient if message.is_group else canonical(told) or message.recipient,
            type=message.type,
            category=order.category.value if order is not None else "free",
            template=message.template.replace("\x00", "") or None,
            status="accepted" if wamid is not None else "unconfirmed",
        )
        await self._journal.record(row)

    async def _finish(self, *steps: Coroutine[Any, Any, object]) -> None:
        """Do what follows Meta's answer, but neither fail nor wait for ever because of it.

        What is not done in time goes on; what fails, the settle loop finds out from the statuses.
        """
        tasks = [asyncio.create_task(_logged(step)) for step in steps]
        self._finishing.update(tasks)
        for task in tasks:
            task.add_done_callback(self._finishing.discard)
        await asyncio.wait(tasks, timeout=_FINISH_SECONDS)


async def _logged(step: Coroutine[Any, Any, object]) -> None:
    try:
        await step
    except HubError as error:
        _log.warning("send_step_failed", code=error.code)
    except Exception:  # noqa: BLE001 - Meta has the message; nothing of ours may turn that into an error
        _log.exception("send_step_broken")


def _passed_on(answer: GraphAnswer, verdict: Verdict) -> SendResult:
    if not verdict.is_metas:
        raise _unreadable(answer, verdict)
    return SendResult(answer, verdict.outcome.value, wamid=verdict.wamid, code=verdict.code)


def _unreadable(answer: GraphAnswer, verdict: Verdict) -> MetaError:
    is_open = verdict.outcome is Outcome.UNCLEAR
    return MetaError(
        "Meta's answer cannot be read" + ("; it may have carried the request out." if is_open else "."),
        retry_class=RetryClass.AMBIGUOUS if is_open else RetryClass.FINAL,
        code="meta_malformed",
        http_status=answer.status,
    )
