"""The wheel is whole: installed by itself, away from this tree and without Node, it migrates and serves."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import aiohttp
import pytest

from partnerhub.demo.installation import free_port
from partnerhub.ui import build
from partnerhub.ui.assets import read_manifest
from tests.processes import environment
from tests.simulator.harness import until
from tests.test_backup import counts, new_database

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
# Made here and of no use elsewhere; the last is where another test may be building page assets.
LEFT_OUT = re.compile(r"(^|/)(__pycache__|node_modules|\.lock|build-\w+)(/|$)")

# Built and installed once, by whichever worker gets all of these.
pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page assets and the wheel."""
    build.build()
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    (found,) = folder.glob("partnerhub-*.whl")
    return found


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel, and nothing else, into an environment of its own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=120)
    return folder


def environ(url: str = "postgresql://h/d", **settings: object) -> dict[str, str]:
    """Return an environment that finds the libraries of this one, and none of its editable packages."""
    return {**environment(url, **settings), "PYTHONPATH": sysconfig.get_path("purelib")}


def run(venv: Path, *command: str, url: str = "postgresql://h/d") -> str:
    """Run a command of the installed wheel, away from this tree."""
    done = subprocess.run(
        [str(venv / "bin" / command[0]), *command[1:]],
        cwd=venv,
        env=environ(url),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_everything_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(SOURCE).as_posix() for path in (SOURCE / "partnerhub").rglob("*") if path.is_file()
    }
    assert sorted(name for name in packed ^ there if not LEFT_OUT.search(name)) == []


def test_what_an_installation_cannot_do_without_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    static = {f"partnerhub/ui/static/{name}" for name in read_manifest().files.values()}
    assert static | {"partnerhub/ui/static/manifest.json"} <= names
    for pattern in (
        r"migrations/versions/0001_\w+\.py",
        r"migrations/sql/0001/00_ground\.sql",
        r"migrations/sql/0001/99_partitions\.sql",
        r"(dashboard|web|ui)/locale/(de|es|pt_BR)/LC_MESSAGES/messages\.po",
        r"dashboard/templates/\w+\.html",
        r"hosted/templates/\w+\.html",
        r"hosted/static/connect\.js",
        r"ui/templates/layout\.html",
        r"web/templates/failed\.html",
        r"simulator/templates/dialog\.html",
        r"simulator/static/sdk\.js",
        r"demo/templates/mailbox\.html",
        r"demo/site_files/index\.html",
        r"demo/data/sample-rates\.csv",
        r"identity/common_passwords\.txt",
        r"py\.typed",
    ):
        assert [name for name in names if re.fullmatch(f"partnerhub/{pattern}", name)], pattern


def test_its_metadata_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
    metadata = archive.read(name).decode()
    assert "Name: partnerhub\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    (entry,) = (one for one in archive.namelist() if one.endswith(".dist-info/entry_points.txt"))
    assert "partnerhub = partnerhub.cli:main" in archive.read(entry).decode()


def test_installed_by_itself_it_migrates_a_database_and_imports_its_own_rates(venv: Path) -> None:
    where = Path(run(venv, "python", "-c", "import partnerhub; print(partnerhub.__file__)"))
    assert where.is_relative_to(venv), "the tree of this checkout must not be what is tried"
    assert "doctor" in run(venv, "partnerhub", "--help")
    url = new_database("wheel")
    assert run(venv, "partnerhub", "migrate", url=url) == "The database is at revision 0001."
    data = where.parent / "demo" / "data"
    run(venv, "partnerhub", "rates", "import", "--markets", str(data / "sample-markets.csv"), url=url)
    run(venv, "partnerhub", "rates", "import", str(data / "sample-rates.csv"), url=url)
    assert counts(url)["public.rate"] > 100


async def test_installed_by_itself_it_serves_pages_with_their_styles(venv: Path) -> None:
    url = new_database("wheel_serving")
    await asyncio.to_thread(run, venv, "partnerhub", "migrate", url=url)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(venv / "bin" / "partnerhub"), "serve", "hub"),
        cwd=venv,
        env=environ(url, hub_port=port, hub_url=f"http://127.0.0.1:{port}"),
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def is_ready() -> bool:
                assert process.returncode is None
                try:
                    async with http.get("/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await until(is_ready, timeout_seconds=60, every=0.2)
            async with http.get("/sign-in", headers={"Accept-Language": "de"}) as answer:
                page = await answer.text()
                assert answer.status == 200
            assert "Anmelden" in page, "translations are in the wheel"
            (style,) = re.findall(r'href="(/static/app-[\w-]+\.css)"', page)
            async with http.get(style) as answer:
                assert (answer.status, answer.content_type) == (200, "text/css")
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
