"""What pip is configured to find reaches uv, unless uv has settings of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix import pip_config


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_")) or name == "SSL_CERT_FILE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    pip_config.uv_environment.cache_clear()
    yield
    pip_config.uv_environment.cache_clear()


def _pip_that_says(listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a pip on PATH, beside an interpreter that has none."""
    pip = tmp_path / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}\nEND\n")
    pip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{pip.parent}:{os.defpath}")
    monkeypatch.setattr(sys, "executable", "false")


def test_the_strongest_section_wins() -> None:
    listing = "global.index-url='https://a'\n:env:.index-url='https://c'\ninstall.index-url='https://b'\n"
    assert pip_config.parse(listing) == {"index-url": "https://c"}


def test_lines_of_other_commands_and_noise_are_passed_over() -> None:
    assert pip_config.parse("download.no-deps='1'\n\nWARNING: old pip\nglobal.cert='x'") == {"cert": "x"}


def test_a_value_of_several_lines_is_read_whole() -> None:
    assert pip_config.parse(r"global.find-links='\n/one\n/two'") == {"find-links": "\n/one\n/two"}


@pytest.mark.parametrize(
    ("setting", "environment"),
    [
        ({"find-links": "\n/one\n/two"}, {"UV_FIND_LINKS": "/one,/two"}),
        ({"index-url": "https://a"}, {"UV_DEFAULT_INDEX": "https://a"}),
        (
            {"extra-index-url": "https://a\nhttps://b"},
            {"UV_EXTRA_INDEX_URL": "https://a https://b", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        ({"no-index": "true"}, {"UV_NO_INDEX": "1"}),
        ({"no-index": "false"}, {}),
        ({"trusted-host": "a\nb"}, {"UV_INSECURE_HOST": "a b"}),
        ({"cert": "/c.pem"}, {"SSL_CERT_FILE": "/c.pem"}),
        ({"timeout": "60"}, {}),
    ],
)
def test_pips_settings_are_said_in_uvs_words(setting: dict[str, str], environment: dict[str, str]) -> None:
    assert pip_config.translate(setting) == environment


def test_a_certificate_that_is_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    assert pip_config.translate({"cert": "/c.pem"}) == {}


def test_the_pip_on_path_is_asked_where_the_interpreter_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pip_that_says("global.find-links='/one'", tmp_path, monkeypatch)
    assert pip_config.uv_environment() == {"UV_FIND_LINKS": "/one"}


def test_without_any_pip_nothing_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pip_config.uv_environment() == {}


@pytest.mark.parametrize(
    "name", ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"]
)
def test_a_setting_of_uvs_own_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _pip_that_says("global.find-links='/one'", tmp_path, monkeypatch)
    monkeypatch.setenv(name, "https://mine")
    assert pip_config.uv_environment() == {}


def test_a_configuration_file_of_uvs_own_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pip_that_says("global.find-links='/one'", tmp_path, monkeypatch)
    file = tmp_path / "config" / "uv" / "uv.toml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert pip_config.uv_environment() == {}
