"""An HTTP client that sends exactly what it is told, byte for byte, and keeps the answer as it came.

Client libraries encode, repair and add; what is tested here is what real clients put on the wire.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """An answer with its bytes."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # Any: whatever was answered
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Return what an error tells the developer."""
        text: str = self.json["meta"]["developer_message"]
        return text


async def exchange(
    url: str, method: str, target: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """Send one request on a connection of its own and read the whole answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    status_line, *header_lines = head.decode("latin-1").split("\r\n")
    _, status, reason = status_line.split(" ", 2)
    found = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in header_lines)
    }
    assert "transfer-encoding" not in found
    assert len(content) == (0 if status == "204" else int(found["content-length"]))
    return Answer(int(status), reason, found, content)
