"""The legacy token call; its errors speak OAuth's dialect."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.di import NamedDependency

from partnerhub.kit.database import Database
from partnerhub.partner_api.means import PartnerApi
from partnerhub.partner_api.parameters import BodyInvalid, read_object, read_text
from partnerhub.partners.schemas import IssuedToken
from partnerhub.partners.services import issue_token, refresh_token
from partnerhub.web.partner_json import PartnerJson
from partnerhub.web.principal import HubRequest


@post("/token", status_code=200, opt={"public": True})
async def post_token(
    request: HubRequest, db: NamedDependency[Database], partner_api: NamedDependency[PartnerApi]
) -> PartnerJson:
    """Give a token for a user's e-mail and password, or for a refresh token."""
    body = read_object(await request.body())
    ip, user_agent = request.client.host if request.client else "", request.headers.get("user-agent", "")
    if read_text(body, "grant_type") == "refresh_token":
        token = await refresh_token(
            db,
            refresh=_needed(body, "refresh_token"),
            keys=partner_api.token_keys,
            ip=ip,
            user_agent=user_agent,
        )
    else:
        token = await issue_token(
            db,
            email=_needed(body, "username"),
            password=_needed(body, "password"),
            ip=ip,
            user_agent=user_agent,
            keys=partner_api.token_keys,
            partner_id=read_text(body, "partner_id"),
            passwords=partner_api.passwords,
        )
    return PartnerJson(_shown(token))


def _needed(body: dict[str, Any], name: str) -> str:  # Any: JSON that a caller wrote
    text = read_text(body, name)
    if not text:
        raise BodyInvalid(f"{name} is missing.", fields={name: "is missing"})
    return text


def _shown(token: IssuedToken) -> dict[str, object]:
    return {
        "access_token": token.access_token,
        "expires_in": token.expires_in_seconds,
        "refresh_token": token.refresh_token,
        "token_type": "Bearer",
    }
