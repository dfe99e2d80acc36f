"""Business portfolios: their WABAs, credit lines and system users."""

from __future__ import annotations

from partnerhub.simulator.core import Simulator
from partnerhub.simulator.errors import GraphError, invalid
from partnerhub.simulator.graph import fields, wabas
from partnerhub.simulator.graph.call import Call
from partnerhub.simulator.model import Allocation, Business, Json, Waba

CURRENCIES = frozenset(
    {
        "AED",
        "ARS",
        "AUD",
        "BRL",
        "CLP",
        "COP",
        "EUR",
        "GBP",
        "IDR",
        "INR",
        "MXN",
        "MYR",
        "PEN",
        "SAR",
        "SGD",
        "USD",
    }
)


async def get_business(_sim: Simulator, call: Call, business: Business) -> Json:
    """Return the business node."""
    getters: dict[str, fields.Getter[Business]] = {
        "id": lambda one: one.id,
        "name": lambda one: one.name,
        "verification_status": lambda one: one.verification_status,
        "whatsapp_business_manager_messaging_limit": lambda one: one.messaging_limit,
        "marketing_messages_onboarding_status": lambda one: {
            "status": "TERM_OF_SERVICE_SIGNED" if one.marketing_terms else "NOT_STARTED"
        },
    }
    return fields.select(
        business, getters, call.query.get("fields"), default=("id", "name"), node_type="Business"
    )


async def _list_wabas(sim: Simulator, call: Call, found: list[Waba]) -> Json:
    getters = wabas.getters(sim.world)
    items = [
        fields.select(
            waba,
            getters,
            call.query.get("fields"),
            default=("id", "name", "currency", "timezone_id"),
            node_type="WhatsAppBusinessAccount",
        )
        for waba in found
    ]
    return fields.page(call, items, base_url=sim.config.public_url, keys=[waba.id for waba in found])


async def owned_wabas(sim: Simulator, call: Call, business: Business) -> Json:
    """List the WABAs a business owns."""
    return await _list_wabas(
        sim, call, [waba for waba in sim.world.table(Waba).values() if waba.business_id == business.id]
    )


async def client_wabas(sim: Simulator, call: Call, business: Business) -> Json:
    """List the WABAs that other businesses share with this one, newest first."""
    found = [
        waba
        for waba in sim.world.table(Waba).values()
        if waba.business_id != business.id and (waba.shared_with or waba.subscriptions or waba.assigned_users)
    ]
    found.sort(key=lambda waba: waba.created_at, reverse=True)
    return await _list_wabas(sim, call, found)


async def system_users(sim: Simulator, _call: Call, _business: Business) -> Json:
    """List the system users."""
    return {"data": [{"id": sim.config.system_user_id, "name": "System user", "role": "ADMIN"}]}


async def extended_credits(_sim: Simulator, _call: Call, business: Business) -> Json:
    """List the credit lines of a business."""
    if business.credit_line_id is None:
        return {"data": []}
    return {"data": [{"id": business.credit_line_id, "legal_entity_name": business.name}]}


def find_credit_line(sim: Simulator, line_id: str) -> Business | None:
    """Return the business that owns a credit line."""
    return next((one for one in sim.world.table(Business).values() if one.credit_line_id == line_id), None)


def _allocate(sim: Simulator, line_id: str, receiver: str) -> Allocation:
    found = next(
        (
            one
            for one in sim.world.table(Allocation).values()
            if one.credit_line_id == line_id and one.receiving_business_id == receiver and not one.is_deleted
        ),
        None,
    )
    if found is None:
        found = Allocation(
            id=sim.world.ids.numeric(16),
            credit_line_id=line_id,
            receiving_business_id=receiver,
            receiving_credential_id=sim.world.ids.numeric(16),
        )
    sim.world.save(found)
    return found


def _attach(sim: Simulator, call: Call, allocation: Allocation | None, line_id: str) -> Json:
    waba = sim.world.get(Waba, call.required("waba_id"))
    currency = call.required("waba_currency").upper()
    if currency not in CURRENCIES:
        raise invalid(f"Param waba_currency must be one of {', '.join(sorted(CURRENCIES))}.")
    if allocation is None:
        allocation = next(
            (
                one
                for one in sim.world.table(Allocation).values()
                if one.credit_line_id == line_id
                and one.receiving_business_id == waba.business_id
                and not one.is_deleted
            ),
            None,
        )
        if allocation is None:
            raise GraphError(100, "The credit line is not shared with the business that owns the account.")
    if waba.primary_funding_id is not None and waba.primary_funding_id != allocation.receiving_credential_id:
        raise GraphError(100, "The account already has a payment method; a credit line cannot be swapped.")
    if waba.primary_funding_id is not None and waba.currency != currency:
        raise GraphError(100, f"The account is billed in {waba.currency}; its currency cannot be changed.")
    waba.currency = currency
    waba.primary_funding_id = allocation.receiving_credential_id
    waba.allocation_config_id = allocation.id
    allocation.waba_id, allocation.currency = waba.id, currency
    sim.world.save(waba)
    sim.world.save(allocation)
    return {"success": True, "waba_id": waba.id, "allocation_config_id": allocation.id}


async def share_credit(sim: Simulator, call: Call, business: Business) -> Json:
    """Share a credit line with a business."""
    receiver = call.required("receiving_business_id")
    sim.world.get(Business, receiver)
    assert business.credit_line_id is not None
    allocation = _allocate(sim, business.credit_line_id, receiver)
    await sim.store.commit()
    return {"success": True, "allocation_config_id": allocation.id}


async def attach_credit(sim: Simulator, call: Call, business: Business) -> Json:
    """Attach a shared credit line to a WABA."""
    assert business.credit_line_id is not None
    answer = _attach(sim, call, None, business.credit_line_id)
    await sim.store.commit()
    return answer


async def share_and_attach_credit(sim: Simulator, call: Call, business: Business) -> Json:
    """Share a credit line with the owner of a WABA and attach it there."""
    waba = sim.world.get(Waba, call.required("waba_id"))
    assert business.credit_line_id is not None
    allocation = _allocate(sim, business.credit_line_id, waba.business_id)
    answer = _attach(sim, call, allocation, business.credit_line_id)
    await sim.store.commit()
    return {"allocation_config_id": answer["allocation_config_id"], "waba_id": answer["waba_id"]}


async def list_allocations(sim: Simulator, call: Call, business: Business) -> Json:
    """List to whom a credit line is shared."""
    receiver = call.query.get("receiving_business_id")
    return {
        "data": [
            _allocation(one)
            for one in sim.world.table(Allocation).values()
            if one.credit_line_id == business.credit_line_id
            and (receiver is None or one.receiving_business_id == receiver)
        ]
    }


def _allocation(one: Allocation) -> Json:
    return {
        "id": one.id,
        "receiving_credential": {"id": one.receiving_credential_id},
        "receiving_business": {"id": one.receiving_business_id},
        "request_status": "DELETED" if one.is_deleted else "APPROVED",
    }


async def get_allocation(_sim: Simulator, _call: Call, allocation: Allocation) -> Json:
    """Return one share of a credit line."""
    return _allocation(allocation)


async def revoke_allocation(sim: Simulator, _call: Call, allocation: Allocation) -> Json:
    """Take a share of a credit line back; the WABA loses its payment method."""
    allocation.is_deleted = True
    sim.world.save(allocation)
    for waba in sim.world.table(Waba).values():
        if waba.allocation_config_id == allocation.id:
            waba.allocation_config_id = None
            waba.primary_funding_id = None
            sim.world.save(waba)
    await sim.store.commit()
    return {"success": True}
