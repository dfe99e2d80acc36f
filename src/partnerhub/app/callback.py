"""The app's callback at Meta: where it leads, which fields it must carry, and setting it."""

from __future__ import annotations

from typing import Final

from partnerhub.app import meta_client
from partnerhub.kit.http import AddressPolicy, HttpClient
from partnerhub.settings import Settings

# Without these, messages, templates or numbers go wrong here.
NEEDED_FIELDS: Final = (
    "messages", "message_template_status_update", "message_template_quality_update",
    "template_category_update", "phone_number_quality_update", "phone_number_name_update",
)  # fmt: skip
# These are kept and passed on to who asked for them.
PASSED_ON_FIELDS: Final = (
    "calls", "account_update", "account_alerts", "account_review_update", "business_capability_update",
    "security", "history", "smb_app_state_sync", "smb_message_echoes",
)  # fmt: skip


def callback_url(settings: Settings) -> str:
    """Return where Meta sends callbacks."""
    return f"{settings.gateway_url}/meta/webhook"


async def subscribe(settings: Settings) -> None:
    """Point the app's callback at the gateway; Meta asks the gateway before it answers.

    Raises: MetaError.
    """
    # The operator configured Meta's address; nobody else can choose where this client goes.
    async with HttpClient(policy=AddressPolicy.TRUSTED) as http:
        await meta_client(settings, http).app.subscribe(
            callback_url=callback_url(settings),
            verify_token=settings.meta_verify_token,
            fields=NEEDED_FIELDS + PASSED_ON_FIELDS,
        )
