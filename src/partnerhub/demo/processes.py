"""The demo's own processes: simulator, mailbox, sample site.

Each reads a private file, so that no secret stands in a command line:
`python -m partnerhub.demo.processes simulator FILE`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from partnerhub.demo import mailbox, site
from partnerhub.kit import logs
from partnerhub.simulator import server
from partnerhub.simulator.config import SimulatorConfig


class SimulatorProcess(msgspec.Struct, frozen=True):
    """What the simulator's process is started with."""

    port: int
    app_id: str
    app_secret: str
    system_user_token: str
    data_file: str


class MailboxProcess(msgspec.Struct, frozen=True):
    """What the mailbox's process is started with."""

    smtp_port: int
    http_port: int
    folder: str


class SiteProcess(msgspec.Struct, frozen=True):
    """What the sample site's process is started with."""

    port: int
    config: site.SiteConfig


def _simulator(content: bytes) -> None:
    start = msgspec.json.decode(content, type=SimulatorProcess)
    config = SimulatorConfig(
        app_id=start.app_id,
        app_secret=start.app_secret,
        system_user_token=start.system_user_token,
        data_file=Path(start.data_file),
        public_url=f"http://localhost:{start.port}",
    )
    server.run(config, "127.0.0.1", start.port)


def _mailbox(content: bytes) -> None:
    start = msgspec.json.decode(content, type=MailboxProcess)
    mailbox.run("127.0.0.1", start.smtp_port, start.http_port, Path(start.folder))


def _site(content: bytes) -> None:
    start = msgspec.json.decode(content, type=SiteProcess)
    site.run(start.config, start.port)


_PROCESSES: dict[str, Any] = {"simulator": _simulator, "mailbox": _mailbox, "site": _site}


def main() -> None:
    """Run the process that the command line names."""
    name, file = sys.argv[1:]
    # What they keep (mails with codes and links, access tokens) is for whoever started them alone.
    os.umask(0o077)
    logs.configure(process=name, level="warning", readable=sys.stderr.isatty())
    _PROCESSES[name](Path(file).read_bytes())


if __name__ == "__main__":
    main()
