"""The legacy token flow: e-mail and password for a token of 24 hours, one partner each.

Tokens are RS256 JWTs. The signing key lives in the database, sealed by the installation's key ring, so
every process signs and checks with the same one and no setting is needed. A token names one partner; the
partner's switch, the membership, the user and whether the password is still the one of that day are looked at
on every use, so turning something off works at once. Source: Partner API reference 3.1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from partnerhub.identity import queries as identity_queries
from partnerhub.identity.errors import NoPlace
from partnerhub.identity.passwords import STANDARD, Passwords
from partnerhub.identity.schemas import Actor, ActorKind
from partnerhub.identity.services import check_password, record_change
from partnerhub.kit import clock
from partnerhub.kit.crypto import Keyring, fingerprint
from partnerhub.kit.database import Database, Unit
from partnerhub.kit.ids import token, uuid7
from partnerhub.partners.errors import LegacyTokensOff, TokenInvalid
from partnerhub.partners.schemas import IssuedToken, Role, TokenHolder

ACCESS_LIFE = timedelta(days=1)
REFRESH_LIFE = timedelta(days=30)
_USE_RESOLUTION = timedelta(minutes=1)
_ALGORITHM = "RS256"

_LIVE_USER = (
    "join hub_user u on u.id = t.user_id and u.disabled_at is null"
    " and u.credentials_version = t.credentials_version"
)
_OFF = "Legacy token authentication is turned off for this partner. Use an API key."


class TokenKeys:
    """The installation's token signing keys, opened once per process."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys: dict[str, RSAKey] = {}

    async def newest(self, db: Database) -> RSAKey:
        """Return the key that signs; the first process to need one makes it."""
        if not self._keys:
            await self._load(db)
        if not self._keys:
            # Making a key takes a while: outside the transaction, and thrown away if another was quicker.
            fresh = await asyncio.to_thread(_new_key)
            async with db.system() as unit:
                await unit.lock("token_key")
                if not await unit.fetch_value("select 1 from token_key limit 1"):
                    await self._store(unit, fresh)
            await self._load(db)
        return max(self._keys.items())[1]

    async def find(self, db: Database, kid: str) -> RSAKey | None:
        """Return the key with this id."""
        if kid not in self._keys and _is_uuid(kid):
            await self._load(db)
        return self._keys.get(kid)

    async def _load(self, db: Database) -> None:
        async with db.system() as unit:
            rows = await unit.fetch_dicts("select id, sealed from token_key order by id")
        self._keys = {str(row["id"]): self._open(row["id"], bytes(row["sealed"])) for row in rows}

    async def _store(self, unit: Unit, key: RSAKey) -> None:
        key_id = uuid7()
        sealed = self._keyring.seal(key.as_pem(private=True), place=_place(key_id))
        await unit.execute(
            "insert into token_key (id, sealed, created_at) values (%s, %s, %s)",
            (key_id, sealed, clock.now()),
        )

    def _open(self, key_id: UUID, sealed: bytes) -> RSAKey:
        return RSAKey.import_key(self._keyring.open(sealed, place=_place(key_id)), {"kid": str(key_id)})


@dataclass(frozen=True)
class _Holder:
    token_id: UUID
    partner_id: str
    user_id: str
    user_name: str
    role: Role
    is_on: bool
    last_used_at: datetime | None


@dataclass(frozen=True)
class _Claims:
    token_id: UUID
    partner_id: str
    runs_out_at: int


async def issue_token(
    db: Database,
    *,
    email: str,
    password: str,
    ip: str,
    keys: TokenKeys,
    partner_id: str | None = None,
    user_agent: str = "",
    passwords: Passwords = STANDARD,
) -> IssuedToken:
    """Check the password and issue a token for the person's partner.

    A person of several partners gets a token for `partner_id`, else for the oldest that has the switch on.
    Raises: SignInRefused, SignInLimited, HashingBusy; NoPlace for a partner that is not theirs, existing or
    not; LegacyTokensOff when none of theirs lets them in this way.
    """
    # Read before the check: a password that changes meanwhile leaves a token that never works.
    async with db.system() as unit:
        known = await identity_queries.find_credential(unit, email=email)
    user = await check_password(db, email=email, password=password, ip=ip, passwords=passwords)
    async with db.system() as unit:
        rows = await unit.fetch_dicts(
            "select m.partner_id, p.legacy_token_auth_enabled as is_on"
            " from member m join partner p on p.id = m.partner_id"
            " where m.user_id = %s and (%s::text is null or m.partner_id = %s)"
            " order by is_on desc, m.created_at, m.partner_id limit 1",
            (user.id, partner_id, partner_id),
        )
    if not rows:
        raise NoPlace("You do not belong to this partner." if partner_id else "You belong to no partner.")
    if not rows[0]["is_on"]:
        raise LegacyTokensOff(_OFF)
    return await _issue(
        db,
        keys,
        partner_id=rows[0]["partner_id"],
        actor=Actor(ActorKind.USER, user.id, user.name, ip, user_agent),
        action="legacy_token.issued",
        credentials_version=known.credentials_version if known else 0,
    )


async def refresh_token(
    db: Database, *, refresh: str, keys: TokenKeys, ip: str = "", user_agent: str = ""
) -> IssuedToken:
    """Exchange a refresh token for a new pair; it and its access token stop working.

    Raises: TokenInvalid, LegacyTokensOff.
    """
    async with db.system() as unit:
        rows = await unit.fetch_dicts(
            "select t.id, t.partner_id, t.user_id, u.name, t.credentials_version, t.last_used_at,"
            " p.legacy_token_auth_enabled as is_on"
            " from legacy_token t join partner p on p.id = t.partner_id"
            f" {_LIVE_USER}"
            " join member m on m.user_id = t.user_id and m.partner_id = t.partner_id"
            " where t.refresh_hash = %s and t.expires_at > %s for update of t",
            (fingerprint(refresh), clock.now()),
        )
        if not rows:
            raise TokenInvalid("The refresh token is not valid.")
        if not rows[0]["is_on"]:
            raise LegacyTokensOff(_OFF)
        await unit.execute("delete from legacy_token where id = %s", (rows[0]["id"],))
    row = rows[0]
    # The pair goes on where the earlier one ended: who used it stays known.
    return await _issue(
        db,
        keys,
        partner_id=row["partner_id"],
        actor=Actor(ActorKind.USER, row["user_id"], row["name"], ip, user_agent),
        action="legacy_token.refreshed",
        credentials_version=row["credentials_version"],
        used_at=row["last_used_at"],
    )


async def check_token(db: Database, *, access_token: str, keys: TokenKeys) -> TokenHolder:
    """Return who an access token stands for, and remember (at most once a minute) that it was used.

    Raises: TokenInvalid; LegacyTokensOff when the partner has turned the flow off, also for a token of ours
    that has run out or was replaced: a client that hears "invalid" would go for a new one, in vain.
    """
    claims = await _verified_claims(db, keys, access_token)
    async with db.system() as unit:
        holder = await unit.fetch_one(
            _Holder,
            "select t.id as token_id, t.partner_id, t.user_id, u.name as user_name, m.role,"
            " p.legacy_token_auth_enabled as is_on, t.last_used_at"
            " from legacy_token t join partner p on p.id = t.partner_id"
            f" {_LIVE_USER}"
            " join member m on m.user_id = t.user_id and m.partner_id = t.partner_id where t.id = %s",
            (claims.token_id,),
        )
        is_on = holder.is_on if holder else await _is_on(unit, claims.partner_id)
        if not is_on:
            raise LegacyTokensOff(_OFF)
        now = clock.now()
        if holder is None or claims.runs_out_at <= int(now.timestamp()):
            raise TokenInvalid("The token is not valid.")
        if holder.last_used_at is None or now - holder.last_used_at >= _USE_RESOLUTION:
            await unit.execute(
                "update legacy_token set last_used_at = %s where id = %s", (now, holder.token_id)
            )
    return TokenHolder(holder.token_id, holder.partner_id, holder.user_id, holder.user_name, holder.role)


async def drop_old_tokens(db: Database) -> int:
    """Forget tokens that ran out more than 30 days ago; returns how many. A daily job."""
    async with db.system() as unit:
        return await unit.execute(
            "delete from legacy_token where expires_at < %s", (clock.now() - REFRESH_LIFE,)
        )


async def _issue(
    db: Database,
    keys: TokenKeys,
    *,
    partner_id: str,
    actor: Actor,
    action: str,
    credentials_version: int,
    used_at: datetime | None = None,
) -> IssuedToken:
    key = await keys.newest(db)
    token_id, refresh, now = uuid7(), token(33), clock.now()
    claims = {
        "iss": "partnerhub",
        "sub": actor.id,
        "partner_id": partner_id,
        "iat": int(now.timestamp()),
        "exp": int((now + ACCESS_LIFE).timestamp()),
        "jti": str(token_id),
    }
    async with db.system() as unit:
        await unit.execute(
            "insert into legacy_token"
            " (id, partner_id, user_id, refresh_hash, credentials_version, issued_at, expires_at,"
            " last_used_at) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                token_id,
                partner_id,
                actor.id,
                fingerprint(refresh),
                credentials_version,
                now,
                now + REFRESH_LIFE,
                used_at,
            ),
        )
        await record_change(
            unit,
            partner_id=partner_id,
            actor=actor,
            action=action,
            object_kind="legacy_token",
            object_id=str(token_id),
            before=None,
            after=None,
        )
    encoded = jwt.encode({"alg": _ALGORITHM, "kid": key.kid}, claims, key, algorithms=[_ALGORITHM])
    return IssuedToken(encoded, refresh, int(ACCESS_LIFE.total_seconds()))


async def _is_on(unit: Unit, partner_id: str) -> bool:
    is_on = await unit.fetch_value(
        "select legacy_token_auth_enabled from partner where id = %s", (partner_id,)
    )
    return is_on is not False


async def _verified_claims(db: Database, keys: TokenKeys, access_token: str) -> _Claims:
    """Return what a token of ours says, whether or not it has run out."""
    try:
        kid = jws.extract_compact(access_token.encode()).headers().get("kid", "")
        key = await keys.find(db, kid) if isinstance(kid, str) else None
        if key is None:
            raise TokenInvalid("The token is not valid.")
        claims = jwt.decode(access_token, key, algorithms=[_ALGORITHM]).claims
        return _Claims(UUID(claims["jti"]), str(claims["partner_id"]), int(claims["exp"]))
    except (JoseError, ValueError, KeyError) as error:
        raise TokenInvalid("The token is not valid.") from error


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048)


def _place(key_id: UUID) -> str:
    return f"token_key.sealed:{key_id}"


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
