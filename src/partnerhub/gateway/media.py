"""Media: bytes up and down without keeping them, their description, and their end.

An id in a path is a number that Meta knows, not necessarily a medium: what the channel's token could reach
otherwise (another number, a template, a flow) is not found here.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec

from partnerhub.gateway import passthrough
from partnerhub.gateway.asgi import AnyReply, HeaderPairs, Reply, Request, StreamReply
from partnerhub.gateway.context import Call, Context, check_number
from partnerhub.gateway.dialects import unknown_object
from partnerhub.gateway.forwarding import picked, reply_of
from partnerhub.kit.errors import Invalid
from partnerhub.kit.http import StreamBody, Timeouts
from partnerhub.meta.blanking import stream_without_token
from partnerhub.meta.errors import UNREADABLE
from partnerhub.meta.graph import GraphAnswer
from partnerhub.meta.media import MAX_MEDIA_BYTES, MEDIA_PATH

_PASSED: Final = frozenset(
    {b"content-type", b"content-length", b"content-disposition", b"last-modified", b"etag"}
)
# Meta's words for an id that it does not know, or not as this number's; the rest of the question is ours.
_UNKNOWN: Final = frozenset({33, 100})
_UPLOAD: Final = Timeouts(connect_seconds=5.0, first_byte_seconds=30.0, total_seconds=300.0)


class MediaInvalid(Invalid):
    """The upload is not a multipart form, or its session has no valid id."""

    code = "media_invalid"


async def upload(context: Context, call: Call) -> Reply:
    """Stream a multipart upload through to the number's media."""
    check_number(call.live)
    content_type = call.request.header(b"content-type")
    if not content_type.lower().startswith("multipart/form-data"):
        raise MediaInvalid("An upload is a multipart/form-data request with messaging_product and file.")
    body = StreamBody(content=call.request.stream(MAX_MEDIA_BYTES), length=call.request.length)
    number_id = call.live.route.phone_number_id
    return reply_of(
        await context.media.upload_form(
            number_id,
            token=call.live.token,
            body=body,
            content_type=content_type,
            total_seconds=_total_seconds(call.request),
        )
    )


async def describe(context: Context, call: Call) -> Reply:
    """Return the metadata and the five-minute address of a medium."""
    reply, description = await _describe(context, call)
    if context.config.rewrite_media_urls and description is not None:
        url = str(description.get("url", ""))
        if url.startswith(context.config.media_url):
            description["url"] = context.config.gateway_url + url.removeprefix(context.config.media_url)
            reply.body = msgspec.json.encode(description)
    return reply


async def describe_or_read(context: Context, call: Call) -> Reply:
    """Return what the id names: the number itself, else a medium of it."""
    if call.params["object_id"] == call.live.route.phone_number_id:
        return await passthrough.NUMBER(context, call)
    return await describe(context, call)


async def delete(context: Context, call: Call) -> Reply:
    """Delete a medium of the number; anything else under that id is left alone."""
    reply, description = await _describe(context, call)
    return reply if description is None else reply_of(await _on_medium(context, call, "DELETE"))


async def _describe(context: Context, call: Call) -> tuple[Reply, dict[str, Any] | None]:  # Any: Meta's JSON
    answer = await _on_medium(context, call, "GET")
    if answer.error is not None and answer.error.upstream_code in _UNKNOWN:
        raise unknown_object(call.params["object_id"])
    reply = reply_of(answer)
    if reply.status != 200:
        return reply, None
    try:
        description = msgspec.json.decode(reply.body, type=dict[str, Any])
    except UNREADABLE:
        description = {}
    if "mime_type" not in description or "url" not in description:
        raise unknown_object(call.params["object_id"])
    return reply, description


async def _on_medium(context: Context, call: Call, method: str) -> GraphAnswer:
    return await context.graph.call(
        method,
        f"/{call.params['object_id']}",
        token=call.live.token,
        # Meta then answers only if the medium belongs to this number.
        query={"phone_number_id": call.live.route.phone_number_id},
    )


async def download(context: Context, call: Call) -> AnyReply:
    """Stream a medium's bytes; the address is Meta's own with this host in place of Meta's."""
    query = "&".join(
        part for part in call.request.query_string.split("&") if part.partition("=")[0] != "access_token"
    )
    stack = AsyncExitStack()
    answer = await stack.enter_async_context(
        context.media.download(f"{context.media.origin}{MEDIA_PATH}/?{query}", token=call.live.token)
    )
    headers: HeaderPairs = picked(answer.headers, _PASSED)
    # Strangers' bytes are never to be read as a page of this host.
    headers.append((b"content-security-policy", b"sandbox; default-src 'none'"))
    # What Meta's media host says instead of a file may repeat the token.
    pieces = stream_without_token(answer, call.live.token)
    return StreamReply(answer.status, headers, pieces, stack.aclose)


async def open_upload(context: Context, call: Call) -> Reply:
    """Open a resumable upload session; its handles go into templates and profile pictures."""
    names = ("file_name", "file_length", "file_type")
    query = {name: value for name in names if (value := call.request.parameter(name))}
    answer = await context.graph.call(
        "POST", f"/{context.config.app_id}/uploads", token=call.live.token, query=query
    )
    return reply_of(answer)


async def refuse_session(context: Context, call: Call) -> Reply:  # noqa: ARG001 - a handler's signature
    """Refuse a session id without its prefix. Raises: MediaInvalid."""
    raise MediaInvalid("An upload session's id starts with “upload:”.")


async def continue_upload(context: Context, call: Call) -> Reply:
    """Send bytes into a session (POST), or ask how far it is (GET)."""
    request = call.request
    # Meta's ids carry a signature that looks like a query: `upload:…?sig=…`; clients escape it, or do not.
    session, _, escaped = call.params["session_id"].partition("?sig=")
    signature = request.parameter("sig") or escaped
    is_sending = request.method == "POST"
    answer = await context.graph.call(
        request.method,
        f"/{session}",
        token=call.live.token,
        query={"sig": signature} if signature else None,
        body=StreamBody(content=request.stream(MAX_MEDIA_BYTES), length=request.length)
        if is_sending
        else b"",
        content_type=(request.header(b"content-type") or "application/octet-stream") if is_sending else None,
        headers={"file_offset": request.header(b"file_offset") or "0"} if is_sending else None,
        timeouts=msgspec.structs.replace(_UPLOAD, total_seconds=_total_seconds(request))
        if is_sending
        else _UPLOAD,
    )
    return reply_of(answer)


def _total_seconds(request: Request) -> float:
    """Return how long an upload may take as a whole: the client's time for its body, and Meta's on top."""
    return request.longest_upload(MAX_MEDIA_BYTES) + _UPLOAD.total_seconds
