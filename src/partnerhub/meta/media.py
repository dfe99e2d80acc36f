"""Files: a number's media, and resumable uploads for templates and profile pictures."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec import structs

from partnerhub.kit.http import (
    Body,
    ExchangeError,
    FilePart,
    InvalidUrl,
    StreamedAnswer,
    Timeouts,
    multipart,
    parse_url,
)
from partnerhub.meta.errors import InvalidGraphPath, MediaUrlRefused
from partnerhub.meta.graph import Graph, GraphAnswer
from partnerhub.meta.shapes import Id, MediaInfo, UploadHandle, UploadProgress

# Where Meta serves files from; the path is fixed, the query is signed and lives five minutes.
MEDIA_ORIGIN: Final = "https://lookaside.fbsbx.com"
MEDIA_PATH: Final = "/whatsapp_business/attachments"
# Documents have at most 100 MB; the rest is room for framing.
MAX_MEDIA_BYTES: Final = 101 * 1024 * 1024
_FILE_TIMEOUTS: Final = Timeouts(connect_seconds=5.0, first_byte_seconds=30.0, total_seconds=300.0)


class MediaCalls:
    """What is done with files."""

    def __init__(self, graph: Graph, *, app_id: str, origins: Sequence[str]) -> None:
        self._graph = graph
        self._app_id = app_id
        self._origins = [origin.rstrip("/") for origin in origins]
        self._allowed = {_origin_of(origin) for origin in origins}

    @property
    def origin(self) -> str:
        """The address that media paths of clients belong to."""
        return self._origins[0]

    async def upload(
        self,
        number_id: str,
        *,
        token: str,
        content: bytes | AsyncIterable[bytes],
        content_type: str,
        filename: str,
        length: int | None = None,
    ) -> str:
        """Upload a file for a number and return its media id; Meta keeps it 30 days.

        Raises: MetaError.
        """
        part = FilePart(
            name="file", filename=filename, content_type=content_type, content=content, length=length
        )
        body, form_type = multipart({"messaging_product": "whatsapp", "type": content_type}, [part])
        answer = await self.upload_form(number_id, token=token, body=body, content_type=form_type)
        return answer.read(Id).id

    async def upload_form(
        self,
        number_id: str,
        *,
        token: str,
        body: Body,
        content_type: str,
        total_seconds: float = _FILE_TIMEOUTS.total_seconds,
    ) -> GraphAnswer:
        """Pass a client's own multipart form on and return Meta's answer, accepted or refused.

        `total_seconds` bounds all of it, the time that the client takes for the form included.

        Raises: MetaError when there is no whole answer.
        """
        return await self._graph.call(
            "POST",
            f"/{number_id}/media",
            token=token,
            body=body,
            content_type=content_type,
            timeouts=structs.replace(_FILE_TIMEOUTS, total_seconds=total_seconds),
        )

    async def get(self, media_id: str, *, token: str, number_id: str | None = None) -> MediaInfo:
        """Return a file's facts and an address that works for five minutes.

        `number_id` makes Meta refuse a file of another number.

        Raises: MetaError.
        """
        return await self._graph.fetch(
            MediaInfo, "GET", f"/{media_id}", token=token, query={"phone_number_id": number_id}
        )

    async def delete(self, media_id: str, *, token: str, number_id: str | None = None) -> None:
        """Delete a file.

        Raises: MetaError.
        """
        await self._graph.do("DELETE", f"/{media_id}", token=token, query={"phone_number_id": number_id})

    @asynccontextmanager
    async def download(
        self, url: str, *, token: str, max_bytes: int = MAX_MEDIA_BYTES
    ) -> AsyncIterator[StreamedAnswer]:
        """Open a file's address and enter with its status and headers; read it by iterating.

        The token goes to Meta's media host and nowhere else. Every status is an answer.

        Raises: MediaUrlRefused; MetaError before the body, ExchangeError while it is read.
        """
        self._check(url)
        async with self._graph.stream(
            url, token=token, timeouts=_FILE_TIMEOUTS, max_body_bytes=max_bytes
        ) as answer:
            yield answer

    def _check(self, url: str) -> None:
        try:
            target = parse_url(url)
        except (InvalidUrl, ExchangeError) as error:
            raise MediaUrlRefused("The media URL is not valid.") from error
        path = target.path.partition("?")[0].rstrip("/")
        if (target.is_tls, target.host, target.port) not in self._allowed or path != MEDIA_PATH:
            raise MediaUrlRefused("The media URL does not lead to Meta's media host.")

    async def open_upload(
        self, *, token: str, length: int, content_type: str, filename: str | None = None
    ) -> str:
        """Open a resumable upload and return its id.

        Raises: MetaError.
        """
        opened = await self._graph.fetch(
            Id,
            "POST",
            f"/{self._app_id}/uploads",
            token=token,
            form={"file_length": length, "file_type": content_type, "file_name": filename},
        )
        return opened.id

    async def send_upload(
        self, upload_id: str, *, token: str, content: Body, offset: int = 0
    ) -> UploadHandle | UploadProgress:
        """Send the bytes of a resumable upload from `offset` on.

        Returns the handle (for template examples and profile pictures) once all bytes are there.

        Raises: MetaError.
        """
        path, query = _upload_path(upload_id)
        answer = await self._graph.call(
            "POST",
            path,
            token=token,
            query=query,
            body=content,
            content_type="application/octet-stream",
            headers={"file_offset": str(offset)},
            timeouts=_FILE_TIMEOUTS,
        )
        if answer.error is None and b'"h"' in answer.body:
            return answer.read(UploadHandle)
        return answer.read(UploadProgress)

    async def get_upload(self, upload_id: str, *, token: str) -> UploadProgress:
        """Return how far a resumable upload is, to go on after a break.

        Raises: MetaError.
        """
        path, query = _upload_path(upload_id)
        return await self._graph.fetch(UploadProgress, "GET", path, token=token, query=query)


def _upload_path(upload_id: str) -> tuple[str, dict[str, str]]:
    """Take an upload id apart: Meta's carry a signature as a query, `upload:…?sig=…`."""
    name, _, signature = upload_id.partition("?sig=")
    if not name.startswith("upload:"):
        raise InvalidGraphPath("The id of an upload begins with “upload:”.")
    return f"/{name}", {"sig": signature} if signature else {}


def _origin_of(url: str) -> tuple[bool, str, int]:
    target = parse_url(url)
    return target.is_tls, target.host, target.port
