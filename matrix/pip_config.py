"""What pip is configured to find, in uv's words: uv does not read pip's configuration by itself."""

from __future__ import annotations

import ast
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_UV_SOURCES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
"""Settings by which a person tells uv where packages are; where one stands, pip's configuration is not consulted."""

_SECTIONS = ("global", "install", ":env:")
"""pip's sections, weakest first (pip documentation, "Configuration files: location and precedence")."""


@functools.cache
def uv_environment() -> Mapping[str, str]:
    """Environment variables that make uv look where pip looks; empty where uv has settings of its own."""
    if any(os.environ.get(name) for name in _UV_SOURCES) or _uv_has_a_file():
        return {}
    return translate(parse(_pip_config()))


def parse(listing: str) -> dict[str, str]:
    """Parse the output of `pip config list` (`section.key='value'` per line); the strongest section wins."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in found and value:
            found[section][key] = str(ast.literal_eval(value))
    return {key: value for section in _SECTIONS for key, value in found[section].items()}


def translate(config: Mapping[str, str]) -> dict[str, str]:
    """Say pip's settings as uv's environment variables.

    pip treats all its indexes as one; uv stops at the first that knows a package unless told `unsafe-best-match`
    (uv documentation, "Searching across multiple indexes").
    """
    environment = {}
    if links := config.get("find-links", "").split():
        environment["UV_FIND_LINKS"] = ",".join(links)
    if index := config.get("index-url"):
        environment["UV_DEFAULT_INDEX"] = index
    if extra := config.get("extra-index-url", "").split():
        environment["UV_EXTRA_INDEX_URL"] = " ".join(extra)
        environment["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if config.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        environment["UV_NO_INDEX"] = "1"
    if hosts := config.get("trusted-host", "").split():
        environment["UV_INSECURE_HOST"] = " ".join(hosts)
    if (certificates := config.get("cert")) and "SSL_CERT_FILE" not in os.environ:
        environment["SSL_CERT_FILE"] = certificates
    return environment


def _uv_has_a_file() -> bool:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return any((folder / "uv" / "uv.toml").is_file() for folder in (home, Path("/etc")))


def _pip_config() -> str:
    """The listing of the pip that stands beside this interpreter, else of the one on PATH, else nothing."""
    commands = [[sys.executable, "-m", "pip"], *([[pip]] if (pip := shutil.which("pip")) else [])]
    for command in commands:
        done = subprocess.run([*command, "config", "list"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    return ""
