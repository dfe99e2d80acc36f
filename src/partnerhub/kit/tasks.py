"""Ending background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from partnerhub.kit import logs

_log = logs.get(__name__)


async def stop(
    *tasks: asyncio.Task[Any], again_after_seconds: float = 0.2
) -> None:  # Any: results are dropped
    """Cancel tasks until they end; what broke in one of them is logged.

    Once is not enough on Python 3.11: `asyncio.wait_for`, which the database's driver and pool wait with,
    loses a cancellation that comes together with what it waits for. Source: python/cpython issue 86296,
    mended in 3.12. `again_after_seconds` is what a task may need to finish after it was cancelled.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_after_seconds)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_broke", task=task.get_name(), exc_info=error)
