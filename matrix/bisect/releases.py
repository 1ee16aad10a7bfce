"""Releases: which ones of a package lie between two ends, as the configured indexes list them."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable

import unearth
import unearth.auth
import unearth.fetchers
from packaging.version import InvalidVersion, Version

from matrix.bisect.indexes import Indexes
from matrix.errors import SpecError

_LOGGER = "unearth.collector"
"""Says which index did not answer; the finder itself passes over it in silence."""

_LACKING = ("Client Error(401)", "Client Error(403)", "Client Error(404)", "Client Error(410)")
"""How an index says that it does not have a package, or not for us: the others may."""


def published(package: str, indexes: Indexes, python: str | None = None) -> list[str]:
    """Every release of a package with a file that this machine's Python can install, yanked ones left out.

    Args:
        package: Its name.
        indexes: Where to look.
        python: Version of the interpreter, such as `3.12`; the running one's when None.

    Raises:
        SpecError: When nothing can be listed, or an index does not answer: neighbours in a list with holes are none.
    """
    trouble = _Trouble()
    logging.getLogger(_LOGGER).addHandler(trouble)
    try:
        found = [file for place in indexes.each() for file in _files(package, place, python, trouble)]
    finally:
        logging.getLogger(_LOGGER).removeHandler(trouble)
    if not found:
        raise SpecError(
            f"no release of {package} can be listed",
            given="; ".join([indexes.places, *trouble.lines[:3]]),
            next_step="check the package's name, the network and the indexes that pip and uv are configured with",
        )
    if lines := [line for line in trouble.lines if not any(said in line for said in _LACKING)]:
        raise SpecError(
            f"the releases of {package} cannot all be listed, and one that is missing would be the wrong answer",
            given="; ".join(lines[:3]),
            next_step="try again, or leave out the index that does not answer",
        )
    # a build of its own (2.13.0+cpu) is the same release
    return [str(known) for known in sorted({Version(known.public) for known in _versions(found)})]


def between(listed: Iterable[str], good: str, bad: str, *, pre: bool) -> tuple[str, ...]:
    """The releases from the good end to the bad one, both included as they were written, whatever lies between.

    Args:
        listed: What is published.
        good: The good end, older or newer than the bad one.
        bad: The bad end.
        pre: Whether pre-releases between the ends count.

    Raises:
        SpecError: When an end is no release.
    """
    first, last = version(good), version(bad)
    low, high = sorted((first, last))
    inside = sorted(found for found in _versions(listed) if low < found < high and (pre or not found.is_prerelease))
    ordered = inside if first < last else inside[::-1]
    return (good, *map(str, ordered), bad)


def version(value: str) -> Version:
    """A value of the axis as a version.

    Raises:
        SpecError: When it is none.
    """
    try:
        return Version(value)
    except InvalidVersion:
        raise SpecError("an end is not a release", given=value, allowed="such as 4.57.6") from None


def _versions(listed: Iterable[str]) -> list[Version]:
    """Those that are versions: an index may hold files from before there was a rule."""
    return [parsed for text in listed if (parsed := _parsed(text))]


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _files(package: str, place: Indexes, python: str | None, trouble: _Trouble) -> list[str]:
    """The version of every file in one place."""
    context = ssl.create_default_context(cafile=place.certificates) if place.certificates else True
    target = unearth.TargetPython(py_ver=tuple(map(int, python.split(".")))) if python else None
    try:
        with unearth.fetchers.PyPIClient(trusted_hosts=place.trusted, verify=context, follow_redirects=True) as session:
            session.auth = unearth.auth.MultiDomainBasicAuth(prompting=False, index_urls=place.urls)
            finder = unearth.PackageFinder(
                session=session, index_urls=place.urls, find_links=place.links, target_python=target
            )
            return [str(found.version) for found in finder.find_all_packages(package, allow_yanked=False)]
    except Exception as error:  # noqa: BLE001 - the finder lets through whatever its HTTP library raises
        trouble.lines.append(f"{place.places} does not answer: {error}")
        return []


class _Trouble(logging.Handler):
    """Collects what the finder warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())
