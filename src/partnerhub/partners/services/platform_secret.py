"""The platform secret: one per partner, signs every partner event and checks onboarding links.

`webhooks` keeps it sealed; doors ask for a one-time code (or the scope `security`) before they call here.
"""

from __future__ import annotations

from partnerhub.identity.schemas import Actor
from partnerhub.identity.services import record_change
from partnerhub.kit.crypto import Keyring
from partnerhub.kit.database import Unit
from partnerhub.kit.ids import token
from partnerhub.partners.errors import IoSignatureOn, PartnerUnknown, SecretMissing
from partnerhub.webhooks import services as webhooks


async def check_secret_replaceable(unit: Unit, *, partner_id: str) -> None:
    """Refuse where `generate_platform_secret` would. Raises: PartnerUnknown, IoSignatureOn."""
    await _overlap_hours(unit, partner_id)


async def generate_platform_secret(unit: Unit, *, partner_id: str, actor: Actor, keyring: Keyring) -> str:
    """Make a new secret and return it; the old one goes on signing beside it for the partner's overlap.

    Raises: IoSignatureOn, because links that were signed with the old secret would stop working.
    """
    overlap_hours = await _overlap_hours(unit, partner_id)
    secret = token(32)
    await webhooks.add_signing_key(
        unit, partner_id=partner_id, secret=secret, overlap_hours=overlap_hours, keyring=keyring
    )
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="platform_secret.generated",
        object_kind="partner",
        object_id=partner_id,
        before=None,
        after={"overlap_hours": overlap_hours},
    )
    return secret


async def reveal_platform_secret(unit: Unit, *, partner_id: str, actor: Actor, keyring: Keyring) -> str:
    """Return the secret; every look is in the audit log. Raises: SecretMissing."""
    secret = await webhooks.reveal_signing_key(unit, partner_id=partner_id, keyring=keyring)
    if secret is None:
        raise SecretMissing("There is no platform secret yet. Generate one first.")
    await record_change(
        unit,
        partner_id=partner_id,
        actor=actor,
        action="platform_secret.viewed",
        object_kind="partner",
        object_id=partner_id,
        before=None,
        after=None,
    )
    return secret


async def _overlap_hours(unit: Unit, partner_id: str) -> int:
    """Return for how long a secret that is replaced now goes on signing, and keep the row as it is."""
    row = await unit.fetch_dicts(
        "select io_signature_enabled, secret_overlap_hours from partner where id = %s for update",
        (partner_id,),
    )
    if not row:
        raise PartnerUnknown("The partner does not exist.")
    if row[0]["io_signature_enabled"]:
        raise IoSignatureOn("Turn IO Signature off before you generate a new platform secret.")
    hours: int = row[0]["secret_overlap_hours"]
    return hours
