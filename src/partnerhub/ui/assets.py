"""What the build produced: hashed file names and the icons as markup.

The build (`partnerhub.ui.build`) writes `static/` and its manifest; this module only reads them, so a running
process needs no Node and never touches the sources.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NewType

import msgspec
from markupsafe import Markup

STATIC_FOLDER = Path(__file__).parent / "static"
STATIC_PATH = "/static"
MANIFEST_NAME = "manifest.json"

AssetUrl = NewType("AssetUrl", str)


class AssetsNotBuilt(RuntimeError):
    """The static folder is missing or of another version; `python -m partnerhub.ui.build` mends it."""


class Manifest(msgspec.Struct, frozen=True):
    """The hash of the sources, the hashed file names by source name, and the innards of each icon."""

    stamp: str
    files: dict[str, str]
    icons: dict[str, str]


def read_manifest(folder: Path = STATIC_FOLDER) -> Manifest:
    """Read the manifest from disk.

    Raises: AssetsNotBuilt.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST_NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise AssetsNotBuilt("The page assets are not built; run: python -m partnerhub.ui.build") from error


@cache
def manifest() -> Manifest:
    """Return the manifest this process started with."""
    return read_manifest()


def asset(name: str) -> AssetUrl:
    """Return the address of a built file by its source name, such as `app.css`.

    Raises: AssetsNotBuilt, KeyError.
    """
    return AssetUrl(f"{STATIC_PATH}/{manifest().files[name]}")


def icon(name: str, *, label: str = "", extra_class: str = "") -> Markup:
    """Return an icon as inline SVG: decorative unless it has a label.

    Raises: AssetsNotBuilt, KeyError (add the name to `assets/icons.json` and build).
    """
    innards = manifest().icons.get(name)
    if innards is None:
        raise KeyError(f"Icon “{name}” is not in assets/icons.json.")
    meaning = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    # The innards come from our own build, never from a request.
    body = Markup(innards)  # noqa: S704 - as said
    return Markup(
        '<svg class="{}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-linecap="round"'
        ' stroke-linejoin="round" {}>{}</svg>'
    ).format(f"icon {extra_class}".strip(), meaning, body)
