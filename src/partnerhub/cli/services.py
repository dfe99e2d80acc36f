"""`run` everything on one machine, `serve` one service of many."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


class Service(StrEnum):
    """The services of an installation."""

    HUB = "hub"
    GATEWAY = "gateway"
    WORKER = "worker"


@commands.command()
def run(
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="With sample data, simulator and mailbox.")
    ] = False,
    hub_port: Annotated[int, typer.Option(help="Port of the hub; 0 for any free one.")] = 8082,
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway; 0 for any free one.")] = 8081,
    simulator_port: Annotated[int, typer.Option(help="Port of the simulator; 0 for any free one.")] = 8090,
    data_dir: Annotated[Path, typer.Option(help="Where state is kept.")] = Path(".partnerhub"),
) -> None:
    """Run everything on this machine and keep it running."""
    options = {
        "folder": str(data_dir),
        "is_demo": with_demo,
        "hub_port": hub_port,
        "gateway_port": gateway_port,
        "simulator_port": simulator_port,
    }
    _become("partnerhub.demo", json.dumps(options))


@commands.command()
def serve(service: Annotated[Service, typer.Argument(help="hub, gateway or worker")]) -> None:
    """Run one service of an installation in this process."""
    _become(f"partnerhub.app.{service.value}")


def _become(module: str, *arguments: str) -> None:
    # A fresh interpreter loads what is run and nothing of the command line, and the other way round.
    command = [sys.executable, "-X", "utf8", "-m", module, *arguments]
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, no shell
