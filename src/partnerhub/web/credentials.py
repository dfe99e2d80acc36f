"""Turning what a request carries into a principal: a session cookie, a partner key, a legacy token."""

from __future__ import annotations

from collections.abc import Mapping

from partnerhub.identity import queries as identity_queries
from partnerhub.identity import services as identity
from partnerhub.identity.schemas import Hub
from partnerhub.kit.database import Database
from partnerhub.partners import queries as partner_queries
from partnerhub.partners import services as partners
from partnerhub.partners.errors import TokenInvalid
from partnerhub.web.errors import CredentialUnknown
from partnerhub.web.principal import Anonymous, Principal, SignedInUser

_KEY_HEADERS = ("x-api-key", "d360-api-key")
_MOST_CHARACTERS = 4_096


class Credentials:
    """Looks credentials up in the database, at every request: what was revoked is useless at once."""

    def __init__(self, db: Database, *, token_keys: partners.TokenKeys) -> None:
        self._db = db
        self._token_keys = token_keys

    async def find_person(self, token: str, *, hub: Hub) -> SignedInUser | Anonymous:
        """Find who is signed in to the hub with this session token, and their role there as of now."""
        if not token or len(token) > _MOST_CHARACTERS:
            return Anonymous()
        async with self._db.system() as unit:
            session = await identity_queries.find_session(unit, token=token)
            if session is None or session.hub is not hub:
                return Anonymous()
            await identity.touch_session(unit, session_id=session.id)
            if hub is Hub.OPERATOR:
                return SignedInUser(session) if session.is_operator else Anonymous()
            if hub is Hub.CLIENT:
                return SignedInUser(session)
            places = await partner_queries.list_memberships(unit, user_id=session.user_id)
        role = next((place.role for place in places if place.partner_id == session.partner_id), None)
        return SignedInUser(session, role, places)

    async def find_machine(self, headers: Mapping[str, str]) -> Principal:
        """Find whose key or token the headers carry; nobody's when there is none.

        Clients send a key as `X-API-Key`, as `D360-API-KEY` or as Bearer, where tokens of the legacy flow
        also stand. Raises: CredentialUnknown, LegacyTokensOff.
        """
        for name in _KEY_HEADERS:
            if secret := headers.get(name, "").strip():
                return await self._find_key(secret)
        kind, _, value = headers.get("authorization", "").strip().partition(" ")
        if kind.casefold() != "bearer" or not (value := value.strip()):
            return Anonymous()
        if value.count(".") == 2:
            try:
                return await partners.check_token(self._db, access_token=value, keys=self._token_keys)
            except TokenInvalid as error:
                raise CredentialUnknown("The token is not valid or has run out.") from error
        return await self._find_key(value)

    async def _find_key(self, secret: str) -> Principal:
        key = None
        if len(secret) <= _MOST_CHARACTERS:
            async with self._db.system() as unit:
                key = await partner_queries.find_key(unit, secret=secret)
                if key is not None:
                    await partners.note_key_use(unit, key=key)
        if key is None:
            raise CredentialUnknown("The API key is not known or was revoked.")
        return key
