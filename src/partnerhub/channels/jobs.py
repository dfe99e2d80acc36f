"""Work of this package that runs by name in the worker, and the steps that ask for it."""

from __future__ import annotations

from partnerhub.kit import jobs
from partnerhub.kit.database import Unit

SYNC_TEMPLATES = "channels.sync_templates"
"""Handler: `services.sync_templates(db, access, partner_id=, waba_id=)`."""


async def ask_for_templates(unit: Unit, *, partner_id: str, waba_id: str) -> None:
    """Let the worker compare an account's templates with Meta after the commit; asked twice, it runs once."""
    await jobs.defer(
        unit, SYNC_TEMPLATES, key=f"templates of {waba_id}", partner_id=partner_id, waba_id=waba_id
    )
