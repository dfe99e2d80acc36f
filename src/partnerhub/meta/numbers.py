"""Calls on business phone numbers: verification, registration, settings, profile, block list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from partnerhub.meta.accounts import NUMBER_FIELDS, read_health
from partnerhub.meta.graph import Graph
from partnerhub.meta.shapes import (
    BlockChange,
    BlockedUser,
    BlockedUsers,
    HealthStatus,
    Id,
    NumberSettings,
    Page,
    PhoneNumber,
    Profile,
    ProfileEntry,
    SyncRequest,
)

# Where Meta can keep a number's data at rest; anywhere else, the United States included, is its default.
DATA_LOCALIZATION_REGIONS = frozenset(
    {"AE", "AU", "BH", "BR", "CA", "CH", "DE", "GB", "ID", "IN", "JP", "KR", "SG", "ZA"}
)
# From this version on the region is a setting made before `register`, no longer a parameter of it.
_REGION_IS_A_SETTING_SINCE = 21
_WHATSAPP = {"messaging_product": "whatsapp"}
_PROFILE_FIELDS = "about,address,description,email,profile_picture_url,websites,vertical"


class NumberCalls:
    """What is done on a phone number."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def get(self, number_id: str, *, token: str, fields: Sequence[str] = NUMBER_FIELDS) -> PhoneNumber:
        """Return a number.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            PhoneNumber, "GET", f"/{number_id}", token=token, query={"fields": ",".join(fields)}
        )

    async def get_health(self, number_id: str, *, token: str) -> HealthStatus:
        """Return whether the number's messages pass, and what stands in their way.

        Raises: MetaError.
        """
        return await read_health(self._graph, number_id, token=token)

    async def add(
        self,
        account_id: str,
        *,
        token: str,
        country_code: str,
        phone_number: str,
        verified_name: str,
        migrate: bool = False,
        preverified_id: str | None = None,
    ) -> str:
        """Add a number to a WABA and return its id; it must still be verified and registered.

        `country_code` is the dialling prefix, `phone_number` goes without it. `migrate` takes a number over
        from another WABA.

        Raises: MetaError.
        """
        body: dict[str, object] = {
            "cc": country_code,
            "phone_number": phone_number,
            "verified_name": verified_name,
        }
        if migrate:
            body["migrate_phone_number"] = True
        if preverified_id is not None:
            body["preverified_id"] = preverified_id
        created = await self._graph.fetch(Id, "POST", f"/{account_id}/phone_numbers", token=token, json=body)
        return created.id

    async def request_code(
        self, number_id: str, *, token: str, method: Literal["SMS", "VOICE"], language: str = "en_US"
    ) -> None:
        """Let Meta send a verification code to the number.

        Raises: MetaError.
        """
        await self._graph.do(
            "POST",
            f"/{number_id}/request_code",
            token=token,
            json={"code_method": method, "language": language},
        )

    async def verify_code(self, number_id: str, *, token: str, code: str) -> None:
        """Prove by its code that the number is the client's.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{number_id}/verify_code", token=token, json={"code": code})

    async def register(
        self, number_id: str, *, token: str, pin: str, data_localization_region: str | None = None
    ) -> None:
        """Put a number into service on Cloud API, its data kept in a region where one is given.

        `pin` has six digits: it becomes the number's two-step PIN, or must match the one it has. Meta counts:
        ten per number in 72 hours. A region takes two calls; both may be repeated.

        Raises: MetaError.
        Source: Meta's documentation of registration and local storage, 2026-03.
        """
        body: dict[str, object] = {**_WHATSAPP, "pin": pin}
        if data_localization_region is not None:
            if self._graph.major_version >= _REGION_IS_A_SETTING_SINCE:
                storage = {
                    "status": "IN_COUNTRY_STORAGE_ENABLED",
                    "data_localization_region": data_localization_region,
                }
                await self.update_settings(
                    number_id, token=token, settings={"storage_configuration": storage}
                )
            else:
                body["data_localization_region"] = data_localization_region
        await self._graph.do("POST", f"/{number_id}/register", token=token, json=body)

    async def deregister(self, number_id: str, *, token: str) -> None:
        """Take a number out of service; counts like `register`.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{number_id}/deregister", token=token)

    async def set_pin(self, number_id: str, *, token: str, pin: str) -> None:
        """Set the two-step PIN, six digits; needs no knowledge of the old one.

        Raises: MetaError.
        """
        await self.update(number_id, token=token, changes={"pin": pin})

    async def override_callback(
        self, number_id: str, *, token: str, callback_uri: str, verify_token: str
    ) -> None:
        """Send the number's message webhooks elsewhere; an empty address ends it.

        Raises: MetaError.
        """
        configuration = {"override_callback_uri": callback_uri, "verify_token": verify_token}
        await self.update(number_id, token=token, changes={"webhook_configuration": configuration})

    async def update(self, number_id: str, *, token: str, changes: Mapping[str, object]) -> None:
        """Change fields of the number, such as `new_display_name`.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{number_id}", token=token, json=changes)

    async def get_settings(self, number_id: str, *, token: str) -> NumberSettings:
        """Return the number's settings: storage, calling, identity check.

        Raises: MetaError.
        """
        return await self._graph.fetch(NumberSettings, "GET", f"/{number_id}/settings", token=token)

    async def update_settings(self, number_id: str, *, token: str, settings: Mapping[str, object]) -> None:
        """Change the number's settings; what is not named stays.

        Raises: MetaError.
        """
        await self._graph.do("POST", f"/{number_id}/settings", token=token, json=settings)

    async def get_profile(self, number_id: str, *, token: str) -> Profile:
        """Return what customers see of the number.

        Raises: MetaError.
        """
        page = await self._graph.fetch(
            Page[ProfileEntry],
            "GET",
            f"/{number_id}/whatsapp_business_profile",
            token=token,
            query={"fields": _PROFILE_FIELDS},
        )
        return page.data[0].profile if page.data else Profile()

    async def update_profile(self, number_id: str, *, token: str, changes: Mapping[str, object]) -> None:
        """Change what customers see; what is not named stays.

        Raises: MetaError.
        """
        await self._graph.do(
            "POST",
            f"/{number_id}/whatsapp_business_profile",
            token=token,
            json={**_WHATSAPP, **changes},
        )

    async def list_blocked(self, number_id: str, *, token: str) -> list[BlockedUser]:
        """Return whom the number does not want to hear from.

        Raises: MetaError.
        """
        path = f"/{number_id}/block_users"
        return [user async for user in self._graph.pages(BlockedUser, path, token=token)]

    async def block(self, number_id: str, *, token: str, users: Sequence[str]) -> BlockedUsers:
        """Block users by phone number or user id.

        Raises: MetaError.
        """
        return await self._change_block_list("POST", number_id, token=token, users=users)

    async def unblock(self, number_id: str, *, token: str, users: Sequence[str]) -> BlockedUsers:
        """Hear from users again.

        Raises: MetaError.
        """
        return await self._change_block_list("DELETE", number_id, token=token, users=users)

    async def _change_block_list(
        self, method: str, number_id: str, *, token: str, users: Sequence[str]
    ) -> BlockedUsers:
        answer = await self._graph.fetch(
            BlockChange,
            method,
            f"/{number_id}/block_users",
            token=token,
            json={**_WHATSAPP, "block_users": [{"user": user} for user in users]},
        )
        return answer.block_users

    async def request_app_data(
        self, number_id: str, *, token: str, sync_type: Literal["smb_app_state_sync", "history"]
    ) -> SyncRequest:
        """Ask for the contacts or chats of a number shared with the WhatsApp Business app.

        Each once, within 24 hours of onboarding; the data comes by webhook.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            SyncRequest,
            "POST",
            f"/{number_id}/smb_app_data",
            token=token,
            json={**_WHATSAPP, "sync_type": sync_type},
        )
