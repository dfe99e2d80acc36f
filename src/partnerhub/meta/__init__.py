"""Typed client of Meta's Graph API: no database, no framework, no domain of ours.

    meta = MetaClient(http, app_id=…, app_secret=…, base_url=settings.meta_graph_url)
    grant = await meta.app.exchange_code(code=code)
    await meta.accounts.subscribe_app(account_id, token=grant.access_token)
    await meta.numbers.register(number_id, token=…, pin=pin, data_localization_region="DE")
    answer = await meta.messages.send(number_id, token=…, body=raw)   # Meta's bytes, refusals too
    answer.status, answer.body, answer.error

Typed calls raise `MetaError` when Meta refuses; `messages.send`, `media.upload_form` and `call` return the
refusal, so that it can be passed on verbatim, and raise only when there is no whole answer.
`MetaError.retry_class` says what to do: `ambiguous` means that the call may have been carried out.
`is_signed` checks the signature of a callback on its raw bytes.
"""

from partnerhub.meta.accounts import ACCOUNT_FIELDS, NUMBER_FIELDS
from partnerhub.meta.client import MetaClient
from partnerhub.meta.codes import BY_CODE, TABLE, ErrorCode, RetryClass, classify, find_code
from partnerhub.meta.errors import InvalidGraphPath, MediaUrlRefused, MetaError
from partnerhub.meta.graph import Graph, GraphAnswer
from partnerhub.meta.media import MAX_MEDIA_BYTES, MEDIA_ORIGIN, MEDIA_PATH
from partnerhub.meta.numbers import DATA_LOCALIZATION_REGIONS
from partnerhub.meta.shapes import (
    Account,
    AppSubscription,
    AssignedUser,
    BlockedUser,
    BlockedUsers,
    Contact,
    CreditAllocation,
    CreditLine,
    HealthStatus,
    MediaInfo,
    MessageAccepted,
    MessageId,
    NumberSettings,
    PhoneNumber,
    Profile,
    SubscribedApp,
    Template,
    TemplateCreated,
    TokenGrant,
    TokenInfo,
    UploadHandle,
    UploadProgress,
)
from partnerhub.meta.signatures import appsecret_proof, is_signed, sign_callback

__all__ = [
    "ACCOUNT_FIELDS",
    "BY_CODE",
    "DATA_LOCALIZATION_REGIONS",
    "MAX_MEDIA_BYTES",
    "MEDIA_ORIGIN",
    "MEDIA_PATH",
    "NUMBER_FIELDS",
    "TABLE",
    "Account",
    "AppSubscription",
    "AssignedUser",
    "BlockedUser",
    "BlockedUsers",
    "Contact",
    "CreditAllocation",
    "CreditLine",
    "ErrorCode",
    "Graph",
    "GraphAnswer",
    "HealthStatus",
    "InvalidGraphPath",
    "MediaInfo",
    "MediaUrlRefused",
    "MessageAccepted",
    "MessageId",
    "MetaClient",
    "MetaError",
    "NumberSettings",
    "PhoneNumber",
    "Profile",
    "RetryClass",
    "SubscribedApp",
    "Template",
    "TemplateCreated",
    "TokenGrant",
    "TokenInfo",
    "UploadHandle",
    "UploadProgress",
    "appsecret_proof",
    "classify",
    "find_code",
    "is_signed",
    "sign_callback",
]
