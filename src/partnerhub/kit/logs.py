"""Structured logs: one JSON object a line, with the request id of the work that wrote it.

No secret is ever handed to a logger; `_drop_secrets` is the second line of defence, not the first.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

request_id: ContextVar[str] = ContextVar("request_id", default="")

_SECRET_WORDS = ("password", "secret", "token", "authorization", "api_key", "cookie", "pin")


def _drop_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "[removed]"
    return event


def _add_request_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    if current := request_id.get():
        event.setdefault("request_id", current)
    return event


def configure(*, process: str, level: str = "info", readable: bool = False) -> None:
    """Set up logging for this process; `readable` is for a person's terminal, otherwise JSON lines."""
    shared: list[Any] = [  # Any: structlog's processor type is wider than what it accepts here
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
        _drop_secrets,
    ]
    renderer = (
        # Its own tracebacks show local variables: passwords, keys and tokens among them.
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if readable
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer]
        if not readable
        else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries speak through the standard library: warnings and worse, one line each.
    logging.basicConfig(
        level=logging.WARNING, format=f"%(levelname)s {process} %(name)s %(message)s", force=True
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger for one module."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(module=name))
