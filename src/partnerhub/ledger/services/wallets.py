"""Wallets: opening one, putting money in, and the mark below which billing is told."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit import clock
from partnerhub.kit.database import Unit
from partnerhub.kit.errors import Invalid
from partnerhub.kit.ids import uuid7
from partnerhub.kit.money import Micros
from partnerhub.ledger.errors import KeyReused
from partnerhub.ledger.schemas import Balance, TopUp

Source = Literal["bank", "psp_clearing"]
_MOST = 2**53  # what JSON can hold exactly; nine thousand million units


class TopUpInvalid(Invalid):
    """A top-up needs a positive amount in a currency of three capital letters."""

    code = "top_up_invalid"


async def open_wallet(unit: Unit, *, partner_id: str, currency: str) -> None:
    """Make the accounts of a partner's wallet; nothing happens where they exist. A system unit."""
    await unit.execute(
        "select ledger_open_wallets(array[%s::text], array[%s::text], %s)",
        (partner_id, currency, clock.now()),
    )


async def top_up(
    unit: Unit,
    *,
    partner_id: str,
    currency: str,
    amount_micros: Micros,
    key: str,
    actor: Actor,
    note: str = "",
    source: Source = "bank",
) -> TopUp:
    """Put money into a wallet; what late captures left open is paid back from it first.

    The same key returns the first answer and moves nothing. A system unit; audited.

    Raises: TopUpInvalid, KeyReused (same key, other amount, currency, source or note).
    """
    if not 0 < amount_micros <= _MOST:
        raise TopUpInvalid("The amount of a top-up must be above zero.")
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise TopUpInvalid(f"“{currency}” is not a currency.")
    await open_wallet(unit, partner_id=partner_id, currency=currency)
    # Locks the wallet: a repeat waits here until the first is committed, and then finds its journal.
    owed = await unit.fetch_value(
        "select owed from ledger_balance where partner_id = %s and currency = %s for update",
        (partner_id, currency),
    )
    body = msgspec.json.encode(["top_up", currency, amount_micros, source, note])
    digest = hashlib.sha256(body).digest()
    if (first := await _first_answer(unit, partner_id, key, digest)) is not None:
        return first
    repaid = min(int(owed), amount_micros)
    balance = await unit.fetch_one(
        Balance,
        """
        update ledger_balance
        set posted = posted + %(amount)s - %(repaid)s, owed = owed - %(repaid)s,
            version = version + 1, updated_at = %(now)s
        where partner_id = %(partner)s and currency = %(currency)s
        returning currency, posted, held, posted - held as available, owed
        """,
        {
            "amount": amount_micros,
            "repaid": repaid,
            "now": clock.now(),
            "partner": partner_id,
            "currency": currency,
        },
    )
    assert balance is not None
    answer = TopUp(uuid7(), amount_micros, Micros(repaid), balance)
    await _book(unit, answer, partner_id=partner_id, key=key, digest=digest, actor=actor, note=note)
    await _transfer(unit, answer, partner_id=partner_id, source=source)
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="wallet.topped_up",
        object_kind="journal",
        object_id=str(answer.journal_id),
        before=None,
        after={"currency": currency, "amount_micros": amount_micros, "repaid_micros": repaid, "note": note},
    )
    return answer


async def set_threshold(
    unit: Unit, *, partner_id: str, currency: str, available_below_micros: Micros | None
) -> None:
    """Ask for the job `billing.renew` whenever available falls below this; None: never again.

    A system unit: the wallet is opened where it is missing.
    """
    await open_wallet(unit, partner_id=partner_id, currency=currency)
    if available_below_micros is None:
        await unit.execute(
            "delete from ledger_threshold t using ledger_balance b where b.account_id = t.account_id "
            "and b.partner_id = %s and b.currency = %s",
            (partner_id, currency),
        )
        return
    await unit.execute(
        """
        insert into ledger_threshold (account_id, partner_id, micros)
        select account_id, partner_id, %s from ledger_balance where partner_id = %s and currency = %s
        on conflict (account_id) do update set micros = excluded.micros
        """,
        (available_below_micros, partner_id, currency),
    )


async def _first_answer(unit: Unit, partner_id: str, key: str, digest: bytes) -> TopUp | None:
    rows = await unit.fetch_dicts(
        "select body_hash, result from ledger_journal where partner_id = %s and key = %s", (partner_id, key)
    )
    if not rows:
        return None
    if rows[0]["body_hash"] != digest:
        raise KeyReused(f"The key “{key}” was used for another command.")
    return msgspec.convert(rows[0]["result"], TopUp)


async def _book(
    unit: Unit, answer: TopUp, *, partner_id: str, key: str, digest: bytes, actor: Actor, note: str
) -> None:
    now = clock.now()
    await unit.execute(
        """
        insert into ledger_journal
          (id, partner_id, key, kind, body_hash, result, actor_kind, actor_id, note, effective_at, booked_at)
        values (%s, %s, %s, 'top_up', %s, %s::jsonb, %s, %s, %s, %s, %s)
        """,
        (
            answer.journal_id,
            partner_id,
            key,
            digest,
            msgspec.json.encode(answer).decode(),
            actor.kind.value,
            actor.id,
            note,
            now,
            now,
        ),
    )


async def _transfer(unit: Unit, answer: TopUp, *, partner_id: str, source: Source) -> None:
    """Write the legs: source to wallet, and from the wallet what was owed."""
    currency = answer.balance.currency
    await unit.execute(
        "insert into ledger_account (kind, currency) values (%s, %s) on conflict do nothing",
        (source, currency),
    )
    await unit.execute(
        """
        insert into ledger_transfer (partner_id, journal_id, debit_account, credit_account, amount_micros,
          currency)
        select b.partner_id, %(journal)s, leg.debit, leg.credit, leg.amount, b.currency
        from ledger_balance b
        join ledger_account s on s.partner_id is null and s.kind = %(source)s and s.currency = b.currency
        cross join lateral (values
          (s.id, b.account_id, %(amount)s::bigint),
          (b.account_id, b.overdraft_id, %(repaid)s::bigint)
        ) as leg(debit, credit, amount)
        where b.partner_id = %(partner)s and b.currency = %(currency)s and leg.amount > 0
        """,
        {
            "journal": answer.journal_id,
            "source": source,
            "amount": answer.amount_micros,
            "repaid": answer.repaid_micros,
            "partner": partner_id,
            "currency": currency,
        },
    )
