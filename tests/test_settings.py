"""Settings: every problem at once, no secret shown, the environment wins over the file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from partnerhub import settings

GOOD = {
    "DATABASE_URL": "postgresql://hub:x@db/partnerhub",
    "PARTNERHUB_SECRET_KEYS": base64.b64encode(bytes(32)).decode(),
    "PARTNERHUB_HUB_URL": "https://hub.example.com",
    "PARTNERHUB_GATEWAY_URL": "https://waba.example.com/",
    "PARTNERHUB_META_APP_ID": "1",
    "PARTNERHUB_META_APP_SECRETS": "newest, older",
    "PARTNERHUB_META_SYSTEM_TOKEN": "t",
    "PARTNERHUB_META_CONFIG_ID": "c",
    "PARTNERHUB_META_VERIFY_TOKEN": "v",
    "PARTNERHUB_SMTP_HOST": "mail.example.com",
    "PARTNERHUB_MAIL_FROM": "hub@example.com",
    "PARTNERHUB_TERMS_URL": "https://www.example.com/terms",
    "PARTNERHUB_PRIVACY_URL": "https://www.example.com/privacy",
}


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(settings.SettingsWrong) as caught:
        settings.load(environ)
    return caught.value.problems


def test_good_settings_are_read() -> None:
    loaded = settings.load(GOOD)
    assert loaded.gateway_url == "https://waba.example.com"
    assert loaded.meta_app_secrets == ("newest", "older")
    assert loaded.is_secure


def test_every_problem_is_listed_at_once() -> None:
    listed = problems(
        {**GOOD, "DATABASE_URL": "", "PARTNERHUB_HUB_PORT": "99999", "PARTNERHUB_ERROR_STYLE": "x"}
    )
    assert [line.split(":")[0] for line in listed] == [
        "DATABASE_URL",
        "PARTNERHUB_HUB_PORT",
        "PARTNERHUB_ERROR_STYLE",
    ]


def test_a_misspelt_setting_is_refused() -> None:
    assert problems({**GOOD, "PARTNERHUB_HUB_PROT": "1"}) == ["PARTNERHUB_HUB_PROT: unknown setting"]


@pytest.mark.parametrize(
    "name", ["PARTNERHUB_HUB_URL", "PARTNERHUB_GATEWAY_URL", "PARTNERHUB_META_GRAPH_URL"]
)
def test_production_wants_tls(name: str) -> None:
    assert problems({**GOOD, name: "http://hub.example.com"}) == [
        f"{name}: must be https outside development"
    ]
    assert settings.load({**GOOD, name: "http://127.0.0.1:1", "PARTNERHUB_DEVELOPMENT": "yes"}).development


def test_production_wants_terms_and_a_privacy_notice() -> None:
    without = {name: value for name, value in GOOD.items() if not name.endswith(("TERMS_URL", "PRIVACY_URL"))}
    assert [line.split(".")[0] for line in problems(without)] == [
        "PARTNERHUB_TERMS_URL: missing outside development",
        "PARTNERHUB_PRIVACY_URL: missing outside development",
    ]
    assert settings.load({**without, "PARTNERHUB_DEVELOPMENT": "yes"}).terms_url == ""


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(
        'brand_name = "From file"\nhub_port = 9000\ntrusted_proxies = ["10.0.0.0/8", "::1/128"]\n'
    )
    loaded = settings.load(
        {**GOOD, "PARTNERHUB_CONFIG": str(file), "PARTNERHUB_BRAND_NAME": "From environment"}
    )
    assert (loaded.brand_name, loaded.hub_port) == ("From environment", 9000)
    assert loaded.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_an_unreadable_file_is_one_of_the_problems(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text("brand_name = ")
    assert any(line.startswith("PARTNERHUB_CONFIG:") for line in problems({"PARTNERHUB_CONFIG": str(file)}))


@pytest.mark.parametrize(
    "url", ["db.example/partnerhub", "mysql://hub:hunter2@db/x", "postgresql://hub:hun%ter2@db/x"]
)
def test_a_database_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    (problem,) = problems({**GOOD, "DATABASE_URL": url})
    assert problem.startswith("DATABASE_URL: must be a URL")
    assert "ter2" not in problem


@pytest.mark.parametrize(
    "keys", ["c2hvcnQ=", "not base64!", f"{GOOD['PARTNERHUB_SECRET_KEYS']},c2hvcnQ=", ","]
)
def test_envelope_keys_of_another_shape_are_refused_and_not_repeated(keys: str) -> None:
    (problem,) = problems({**GOOD, "PARTNERHUB_SECRET_KEYS": keys})
    assert problem.startswith("PARTNERHUB_SECRET_KEYS: each key must be base64 of 32 bytes")
    assert "c2hv" not in problem


@pytest.mark.parametrize("seconds", ["-1", "86401", "5m", "1.5"])
def test_the_window_of_signed_links_is_whole_seconds_of_a_day_at_most(seconds: str) -> None:
    for name in ("PARTNERHUB_IO_SIGNATURE_AGE_SECONDS", "PARTNERHUB_IO_SIGNATURE_AHEAD_SECONDS"):
        (problem,) = problems({**GOOD, name: seconds})
        assert problem.startswith(f"{name}: ")
        assert getattr(settings.load({**GOOD, name: "0"}), name.removeprefix("PARTNERHUB_").lower()) == 0
