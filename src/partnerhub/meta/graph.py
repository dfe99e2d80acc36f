"""One call to the Graph API: address, token, encoding, the answer, and retries where they are safe.

Nothing here knows an edge. Reads (GET) are repeated a few times when Meta is down; everything else goes out
once, and when its outcome is unknown the caller hears so.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from partnerhub.kit.http import (
    Answer,
    Body,
    ExchangeError,
    Headers,
    HttpClient,
    StreamedAnswer,
    Timeouts,
    Timings,
)
from partnerhub.meta.blanking import without_token
from partnerhub.meta.codes import RetryClass
from partnerhub.meta.errors import UNREADABLE, InvalidGraphPath, MetaError, malformed, refusal_of, unreachable
from partnerhub.meta.shapes import Page, Success
from partnerhub.meta.signatures import appsecret_proof

T = TypeVar("T")

# A value of a query or a form: lists and objects travel as JSON, booleans as `true` and `false`.
Value = str | int | bool | list[str] | Mapping[str, object] | None

_PATH = re.compile(r"(?:/[A-Za-z0-9_.:=+~|-]+)+/?", re.ASCII)
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024
_MAX_PAGES: Final = 200


class GraphAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Meta's answer as it came, refusals included; `error` says what a refusal means.

    `body` is verbatim, except that a token Meta repeats in it is blanked out.
    """

    status: int
    body: bytes
    content_type: str
    headers: Headers
    timings: Timings
    is_safe: bool
    error: MetaError | None

    def read(self, shape: type[T]) -> T:
        """Read the body of an accepted call as `shape`.

        Raises: MetaError: the refusal, or `meta_malformed`.
        """
        if self.error is not None:
            raise self.error
        try:
            # Not strict: Meta writes some numbers as text, such as a file's size.
            return msgspec.json.decode(self.body, type=shape, strict=False)
        except UNREADABLE as error:
            what = f"Meta's answer could not be read: {error}."
            raise malformed(what, self.status, is_safe=self.is_safe) from error


class Graph:
    """Calls to one Graph API on behalf of one app; holds no token."""

    def __init__(
        self,
        http: HttpClient,
        *,
        base_url: str,
        version: str,
        app_secret: str,
        uses_appsecret_proof: bool,
        timeouts: Timeouts,
        retries: int,
        backoff_seconds: float,
    ) -> None:
        self._http = http
        self._base = base_url.rstrip("/")
        self._version = version
        self._app_secret = app_secret
        self._uses_proof = uses_appsecret_proof
        self._timeouts = timeouts
        self._retries = retries
        self._backoff_seconds = backoff_seconds

    @property
    def major_version(self) -> int:
        """The number of the API version, 23 for `v23.0`."""
        return int(self._version.removeprefix("v").partition(".")[0])

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str,
        query: Mapping[str, Value] | None = None,
        body: Body = b"",
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> GraphAnswer:
        """Send one call and return Meta's answer, accepted or refused.

        `path` begins with a slash and carries no version. GET is repeated while Meta is down; everything else
        is sent once.

        Raises: MetaError (`meta_unreachable`, `meta_unclear`, `meta_malformed`) when there is no whole
        answer; InvalidGraphPath.
        """
        url = self._url(path, query, token)
        lines = self._headers(token, content_type, headers)
        is_safe = method == "GET"
        attempts = 1 + (self._retries if is_safe else 0)
        for attempt in range(1, attempts + 1):
            answer, failure = await self._once(
                method, url, lines=lines, body=body, token=token, timeouts=timeouts, is_safe=is_safe
            )
            if failure is None or failure.retry_class is not RetryClass.RETRY or attempt == attempts:
                break
            spread = 0.5 + random.random()  # noqa: S311 - spreads load, keeps no secret
            await asyncio.sleep(self._backoff_seconds * 2 ** (attempt - 1) * spread)
        if answer is None:
            assert failure is not None
            raise failure
        return answer

    async def _once(
        self,
        method: str,
        url: str,
        *,
        lines: list[tuple[str, str]],
        body: Body,
        token: str,
        timeouts: Timeouts | None,
        is_safe: bool,
    ) -> tuple[GraphAnswer | None, MetaError | None]:
        """Return the answer, and what failed: a refusal with its answer, or an exchange without one."""
        try:
            answer = await self._http.request(
                method,
                url,
                headers=lines,
                body=body,
                timeouts=timeouts or self._timeouts,
                max_body_bytes=_MAX_BODY_BYTES,
                repeatable=is_safe,
            )
        except ExchangeError as error:
            failure = unreachable(error, is_safe=is_safe)
            failure.__cause__ = error
            return None, failure
        if not _is_http(answer.status):
            return None, malformed("Meta's answer has no status.", answer.status, is_safe=is_safe)
        if answer.body_truncated:
            return None, malformed("Meta's answer is too large.", answer.status, is_safe=is_safe)
        found = _graph_answer(answer, token, is_safe=is_safe)
        return found, found.error

    async def fetch(
        self,
        shape: type[T],
        method: str,
        path: str,
        *,
        token: str,
        query: Mapping[str, Value] | None = None,
        json: Mapping[str, object] | None = None,
        form: Mapping[str, Value] | None = None,
        timeouts: Timeouts | None = None,
    ) -> T:
        """Send one call with a JSON or form body and read the answer as `shape`.

        Raises: MetaError for a refusal too.
        """
        body, content_type = b"", None
        if json is not None:
            body, content_type = msgspec.json.encode(json), "application/json"
        elif form is not None:
            body, content_type = encode_form(form).encode(), "application/x-www-form-urlencoded"
        answer = await self.call(
            method, path, token=token, query=query, body=body, content_type=content_type, timeouts=timeouts
        )
        return answer.read(shape)

    async def do(
        self,
        method: str,
        path: str,
        *,
        token: str,
        query: Mapping[str, Value] | None = None,
        json: Mapping[str, object] | None = None,
        form: Mapping[str, Value] | None = None,
    ) -> None:
        """Send one call whose answer is only yes or no.

        Raises: MetaError.
        """
        done = await self.fetch(Success, method, path, token=token, query=query, json=json, form=form)
        if not done.success:
            raise MetaError(f"Meta did not carry out {method} {path}.", retry_class=RetryClass.FINAL)

    async def pages(
        self,
        shape: type[T],
        path: str,
        *,
        token: str,
        query: Mapping[str, Value] | None = None,
    ) -> AsyncIterator[T]:
        """Yield every item of a list edge, page after page.

        Follows the cursor, never the `next` address of the answer, which may carry a token or lead elsewhere.
        """
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            asked = {**(query or {}), "after": cursor}
            page = await self.fetch(Page[shape], "GET", path, token=token, query=asked)  # type: ignore[valid-type]  # the shape is a value here
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    @asynccontextmanager
    async def stream(
        self, url: str, *, token: str, timeouts: Timeouts, max_body_bytes: int
    ) -> AsyncIterator[StreamedAnswer]:
        """Open an absolute address with the token; the caller has checked where it leads.

        Raises: MetaError; ExchangeError while the body is read.
        """
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(
                    self._http.stream(
                        "GET",
                        url,
                        headers=self._headers(token, None, None),
                        timeouts=timeouts,
                        max_body_bytes=max_body_bytes,
                    )
                )
            except ExchangeError as error:
                raise unreachable(error, is_safe=True) from error
            if not _is_http(answer.status):
                raise malformed("Meta's answer has no status.", answer.status, is_safe=True)
            yield answer

    def _url(self, path: str, query: Mapping[str, Value] | None, token: str) -> str:
        if not _PATH.fullmatch(path) or "/../" in f"{path}/" or "/./" in f"{path}/":
            raise InvalidGraphPath("The path has a part that is neither an id nor the name of an edge.")
        asked = dict(query or {})
        if self._uses_proof:
            asked["appsecret_proof"] = appsecret_proof(token, self._app_secret)
        encoded = encode_form(asked) if asked else ""
        return f"{self._base}/{self._version}{path}" + (f"?{encoded}" if encoded else "")

    @staticmethod
    def _headers(
        token: str, content_type: str | None, headers: Mapping[str, str] | None
    ) -> list[tuple[str, str]]:
        lines = [("Authorization", f"Bearer {token}")] if token else []
        if content_type is not None:
            lines.append(("Content-Type", content_type))
        if headers is not None:
            lines += headers.items()
        return lines


def _is_http(status: int) -> bool:
    """Say whether it is a status that may be passed on: no server sends others."""
    return 200 <= status < 600


def encode_form(values: Mapping[str, Value]) -> str:
    """Write a query or form as Graph reads it; None leaves a name out."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        match value:
            case None:
                continue
            case bool():
                pairs.append((name, "true" if value else "false"))
            case str() | int():
                pairs.append((name, str(value)))
            case _:
                pairs.append((name, msgspec.json.encode(value).decode()))
    return urlencode(pairs)


def _graph_answer(answer: Answer, token: str, *, is_safe: bool) -> GraphAnswer:
    # Bodies go on to clients.
    body = without_token(answer.body, token)
    if body is not answer.body:
        answer = msgspec.structs.replace(answer, body=body)
    error = refusal_of(answer, is_safe=is_safe) if answer.status >= 300 else None
    return GraphAnswer(
        status=answer.status,
        body=body,
        content_type=answer.headers.get("content-type") or "application/octet-stream",
        headers=answer.headers,
        timings=answer.timings,
        is_safe=is_safe,
        error=error,
    )
