"""Indexes: where packages are configured to come from, in the words of the finder that lists their releases.

The same settings that uv installs from: a person's `UV_*` variables or uv.toml, else pip's configuration.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix import pip_config
from matrix.errors import SpecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPI = "https://pypi.org/simple"
"""uv's own default index (uv documentation, "Package indexes")."""

_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True, kw_only=True)
class Indexes:
    """Where packages may come from.

    Attributes:
        urls: Simple indexes.
        links: Folders or pages that link to files.
        trusted: Hosts whose certificates are not checked.
        certificates: A file of certificate authorities; the system's when None.
    """

    urls: tuple[str, ...]
    links: tuple[str, ...]
    trusted: tuple[str, ...]
    certificates: str | None

    @property
    def places(self) -> str:
        """All of them, for a message."""
        return ", ".join([*map(_without_password, self.urls), *self.links]) or "none"

    def each(self) -> list[Indexes]:
        """One place at a time."""
        urls = [replace(self, urls=(url,), links=()) for url in self.urls]
        return [*urls, *(replace(self, urls=(), links=(link,)) for link in self.links)]


def configured() -> Indexes:
    """What uv would be told, read the same way.

    Raises:
        SpecError: When uv's configuration file is not TOML.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("UV_") and value}
    found = {**_file(), **pip_config.uv_environment(), **own}
    default = found.get("UV_DEFAULT_INDEX") or found.get("UV_INDEX_URL") or PYPI
    listed = [*found.get("UV_INDEX", "").split(), default, *found.get("UV_EXTRA_INDEX_URL", "").split()]
    urls = dict.fromkeys(map(_address, listed))
    if found.get("UV_NO_INDEX", "").lower() in _TRUE:
        urls = {}
    if found.get("UV_OFFLINE", "").lower() in _TRUE:
        urls = dict.fromkeys(url for url in urls if url.startswith("file:"))
    return Indexes(
        urls=tuple(urls),
        links=tuple(found.get("UV_FIND_LINKS", "").replace(",", " ").split()),
        trusted=tuple(found.get("UV_INSECURE_HOST", "").split()),
        certificates=found.get("SSL_CERT_FILE"),
    )


def _address(index: str) -> str:
    """An index may be written NAME=URL (uv documentation, "Defining an index")."""
    name, _, address = index.partition("=")
    return address if address and "/" not in name else index


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _file() -> dict[str, str]:
    """What uv's configuration file says, as the variables that mean the same."""
    if os.environ.get("UV_NO_CONFIG"):
        return {}
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    paths = [home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    if named := os.environ.get("UV_CONFIG_FILE"):
        paths = [Path(named)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return {}
    try:
        return _variables(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SpecError("uv's configuration file cannot be read", given=f"{path}: {error}") from None


def _variables(content: Mapping[str, Any]) -> dict[str, str]:
    """Say uv's keys as variables (uv documentation, "Settings"), those of the pip interface included."""
    content = {**content, **content.get("pip", {})}
    further = [index for index in content.get("index", ()) if not index.get("explicit")]
    default = [index["url"] for index in further if index.get("default")]
    found = {
        "UV_INDEX": " ".join(index["url"] for index in further if not index.get("default")),
        "UV_DEFAULT_INDEX": default[0] if default else content.get("index-url", ""),
        "UV_EXTRA_INDEX_URL": " ".join(content.get("extra-index-url", ())),
        "UV_FIND_LINKS": ",".join(content.get("find-links", ())),
        "UV_NO_INDEX": str(content.get("no-index", "")),
        "UV_OFFLINE": str(content.get("offline", "")),
        "UV_INSECURE_HOST": " ".join(content.get("allow-insecure-host", ())),
    }
    return {name: value for name, value in found.items() if value}
