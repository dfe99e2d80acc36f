"""What the build writes, how large it may be, and what the lock must not contain."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from partnerhub.ui import build
from partnerhub.ui.assets import STATIC_FOLDER, AssetsNotBuilt, asset, icon, read_manifest

CSS_BUDGET_BYTES = 16 * 1024
JS_BUDGET_BYTES = 20 * 1024


@pytest.fixture(autouse=True)
def _built() -> None:
    build.build()


def gzipped(name: str) -> int:
    return len(gzip.compress((STATIC_FOLDER / read_manifest().files[name]).read_bytes(), 9))


def lock() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((build.SOURCES / "package-lock.json").read_text())[
        "packages"
    ]
    return found


def test_the_styles_stay_within_their_budget() -> None:
    assert gzipped("app.css") <= CSS_BUDGET_BYTES


def test_the_scripts_stay_within_their_budget_without_the_chart() -> None:
    assert gzipped("app.js") <= JS_BUDGET_BYTES
    assert b"uPlot" not in (STATIC_FOLDER / read_manifest().files["app.js"]).read_bytes()


def test_every_named_file_is_there_and_nothing_else_is() -> None:
    named = set(read_manifest().files.values())
    assert {path.name for path in STATIC_FOLDER.iterdir()} - {".lock", "manifest.json"} == named
    assert all(re.search(r"-[A-Za-z0-9]{8,}\.\w+$", name) for name in named), (
        "a name without a hash is cached for ever"
    )


def test_no_style_points_outside_or_to_data() -> None:
    text = (STATIC_FOLDER / read_manifest().files["app.css"]).read_text()
    used = re.sub(r"--[\w-]+-icon[\w-]*:\s*url\('data:.*?'\)", "", text)
    assert re.findall(r"url\((?![\"']?\./)[^)]{0,40}", used) == []
    assert "light-dark(" in text, "the build must not turn light-dark() into something else"


def test_a_second_build_does_nothing() -> None:
    assert build.build() is False


def test_a_changed_source_asks_for_a_build(tmp_path: Path) -> None:
    package = tmp_path / "partnerhub"
    shutil.copytree(
        build.PACKAGE, package, ignore=shutil.ignore_patterns("node_modules", "static", "__pycache__")
    )
    stamp = build.source_stamp(package)
    (package / "ui" / "static").mkdir()
    (package / "ui" / "more.py").write_text("")
    assert build.source_stamp(package) == stamp, "code of ours changes no asset"
    (package / "shop").mkdir()
    (package / "shop" / "page.html").write_text('<p class="mt-[7px]">')
    with_page = build.source_stamp(package)
    assert with_page != stamp
    with (package / "ui" / "assets" / "css" / "base.css").open("a") as styles:
        styles.write("p { color: red }")
    assert build.source_stamp(package) not in {stamp, with_page}


def test_an_unbuilt_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(AssetsNotBuilt, match=r"python -m partnerhub\.ui\.build"):
        read_manifest(tmp_path)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KeyError):
        asset("nothing.css")
    with pytest.raises(KeyError, match=r"icons\.json"):
        icon("nothing")


def test_a_label_of_an_icon_is_escaped() -> None:
    assert 'aria-label="&lt;b&gt;"' in icon("check", label="<b>")
    assert 'aria-hidden="true"' in icon("check")


def test_the_lock_names_no_address_and_hashes_everything() -> None:
    packages = {name: one for name, one in lock().items() if name}
    assert not [name for name, one in packages.items() if "resolved" in one]
    assert not [name for name, one in packages.items() if "integrity" not in one and not one.get("inBundle")]
    assert "://" not in json.dumps([one.get("resolved") for one in packages.values()])


def test_every_version_is_exact() -> None:
    wanted = json.loads((build.SOURCES / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert {name: lock()[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_the_lock_has_every_platform() -> None:
    """`npm install` writes a lock that lacks platforms without a word; `npm ci` then stops on them."""
    packages = lock()
    missing = [
        (name, wanted)
        for name, one in packages.items()
        for wanted, version in one.get("optionalDependencies", {}).items()
        if packages.get(f"node_modules/{wanted}", {}).get("version") != version
        and not re.match(r"[\^~>]", version)
    ]
    assert missing == []
    systems = {system for one in packages.values() for system in one.get("os", ())}
    assert {"linux", "darwin", "win32"} <= systems
