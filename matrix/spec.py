"""The spec: what the matrix is made of, parsed once from TOML into frozen values."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from matrix import table
from matrix.case import UNCHANGED, Case, Option, Variants
from matrix.errors import SpecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Stage = Literal["load", "tokens", "config", "parameters", "buffers", "activations", "logits", "generation"]
"""Where a difference may start, in the order in which one causes the next."""

AxisKind = Literal["requirement", "python", "env"]

SCHEMA = 1
SHIPPED = Path(__file__).parent / "spec.toml"
DEFAULT_VARIANTS = Variants(
    dtype=("float32",), attention=("eager", "sdpa"), device=("cpu",), threads=(1,), cache=("default",)
)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One dimension of the matrix.

    Attributes:
        values: The values, oldest first: findings call the last good and the first bad one in this order.
        kind: `requirement` goes into the environment as NAME==VALUE, `python` chooses the interpreter, `env` is an
            environment variable of the probe.
    """

    values: tuple[str, ...]
    kind: AxisKind = "requirement"


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """Cells that are not run, by axis value or version specifier, and why; some cases of them where it names any."""

    cells: Mapping[str, str]
    reason: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Known:
    """A verdict that is expected: it does not fail a run, and its absence is reported.

    With `within` it speaks of variants of one cell that are compared along that option, else of a cell against the
    baseline's.
    """

    case: str
    cells: Mapping[str, str]
    verdict: Literal["noise", "drift", "unstable", "error", "missing"]
    reason: str
    stage: Stage | None = None
    where: str | None = None
    variant: Mapping[str, str] = field(default_factory=dict)
    within: Option | None = None
    link: str | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Named changes to the spec, chosen with --profile: other axis values, variants, or a subset of the cases."""

    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: Variants = UNCHANGED
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A whole matrix: axes, baseline, variants, cases and what is expected of them.

    `within` names options along which the variants of one cell are compared, unless a case says otherwise.
    `requirements` are packages that every environment holds beside the axes' and the cases' own; `cells`, where it
    names any, are the ids of the only cells that run beside the baseline's.
    """

    schema: int
    axes: Mapping[str, Axis]
    baseline: Mapping[str, str] = field(default_factory=dict)
    variants: Variants = DEFAULT_VARIANTS
    within: tuple[Option, ...] = ()
    case: tuple[Case, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    known: tuple[Known, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            SpecError: For duplicates, references to nothing, versions that are none, or a newer schema.
        """
        if self.schema > SCHEMA:
            raise SpecError(
                "the spec is written for a newer version of this tool", given=self.schema, allowed=str(SCHEMA)
            )
        for name, axis in self.axes.items():
            _check_axis(name, axis)
        _check_unique("case name", [case.name for case in self.case])
        for name, value in self.baseline.items():
            if value not in self.axis(name, "baseline").values:
                raise SpecError(
                    f"the baseline is not a value of the axis {name!r}", given=value, allowed=self.axes[name].values
                )
        for known in self.known:
            _check_references(self, f"[[known]] of {known.case!r}", known.cells)
            _check_options(f"[[known]] of {known.case!r}", known.variant)
        for exclusion in self.exclude:
            _check_references(self, f"[[exclude]] with reason {exclusion.reason!r}", exclusion.cells)

    def axis(self, name: str, where: str) -> Axis:
        """The axis of that name.

        Raises:
            SpecError: When there is none.
        """
        if name not in self.axes:
            raise SpecError(f"{where} names an axis that does not exist", given=name, allowed=sorted(self.axes))
        return self.axes[name]

    @property
    def sha256(self) -> str:
        """Digest of everything the spec says, independent of how it was written."""
        return hashlib.sha256(json.dumps(table.write(self), sort_keys=True).encode()).hexdigest()


def read(path: Path) -> Spec:
    """Read a spec file; an absent `[variants]` table, or key in it, takes the default.

    Raises:
        SpecError: When the file cannot be read or says something that is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(
            "the spec cannot be read", given=f"{path} ({error.strerror})", next_step="check --spec"
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError("the spec is not TOML", given=f"{path}: {error}") from None
    try:
        spec = parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SpecError("the spec is not TOML", given=f"{path}: {error}") from None
    # only a whole file is held to this: a selection of its cases keeps what is known of the others, and a file without
    # cases is for sweeps, whose cases are made later
    if spec.case:
        for names in (*((known.case,) for known in spec.known), *(exclusion.cases for exclusion in spec.exclude)):
            select(spec.case, names)
    return spec


def parse(content: Mapping[str, Any]) -> Spec:
    """Turn a parsed TOML or JSON table into a spec.

    Raises:
        SpecError: When it says something that is not allowed.
    """
    spec = table.read(Spec, _numbered(content), "the spec")
    return replace(spec, variants=spec.variants.over(DEFAULT_VARIANTS))


def apply(spec: Spec, profile: str) -> Spec:
    """The spec with a profile's changes.

    Raises:
        SpecError: When there is no such profile, or it names axes or cases that do not exist.
    """
    if profile not in spec.profiles:
        raise SpecError("there is no such profile", given=profile, allowed=sorted(spec.profiles) or "none is defined")
    change = spec.profiles[profile]
    axes = dict(spec.axes)
    for name, values in change.axes.items():
        axes[name] = replace(spec.axis(name, f"profile {profile!r}"), values=values)
    cases = select(spec.case, change.cases) if change.cases else spec.case
    return replace(spec, axes=axes, variants=change.variants.over(spec.variants), case=cases)


def select(cases: tuple[Case, ...], names: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases of those names, in the spec's order.

    Raises:
        SpecError: When a name belongs to no case.
    """
    for name in names:
        if name not in {case.name for case in cases}:
            raise SpecError("there is no such case", given=name, allowed=[case.name for case in cases])
    return tuple(case for case in cases if case.name in names)


def matches(pattern: Mapping[str, str], axes: Mapping[str, str]) -> bool:
    """Whether a cell's axis values fit a pattern of exact values or version specifiers (`>=5.0,<5.2`)."""
    return all(name in axes and _fits(wanted, axes[name]) for name, wanted in pattern.items())


def _fits(wanted: str, value: str) -> bool:
    if wanted == value:
        return True
    try:
        return SpecifierSet(wanted).contains(Version(value), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _check_axis(name: str, axis: Axis) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise SpecError("an axis has a name that is none", given=name, allowed="letters, digits, . - _")
    if not axis.values:
        raise SpecError(f"the axis {name!r} has no values", next_step="give at least one value")
    _check_unique(f"value of the axis {name!r}", list(axis.values))
    if axis.kind == "requirement":
        versions = [_version(name, value) for value in axis.values]
        if versions != sorted(versions):
            raise SpecError(
                f"the values of the axis {name!r} are out of order", given=axis.values, next_step="put the oldest first"
            )


def _version(name: str, value: str) -> Version:
    try:
        return Version(value)
    except InvalidVersion:
        raise SpecError(
            f"a value of the axis {name!r} is not a release", given=value, allowed="such as 4.57.6"
        ) from None


def _check_unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"a {what} appears twice", given=name, next_step="keep one of them, or rename it")


def _check_references(spec: Spec, where: str, pattern: Mapping[str, str]) -> None:
    for name, wanted in pattern.items():
        if spec.axis(name, where).kind == "requirement" and not _is_pattern(wanted):
            raise SpecError(f"{where} has a version that is none", given=wanted, allowed="such as 5.2.0, or >=5.0,<5.2")


def _is_pattern(wanted: str) -> bool:
    for kind in (Version, SpecifierSet):
        with contextlib.suppress(InvalidVersion, InvalidSpecifier):
            kind(wanted)
            return True
    return False


def _check_options(where: str, variant: Mapping[str, str]) -> None:
    allowed = [option.name for option in fields(Variants)]
    for name in variant:
        if name not in allowed:
            raise SpecError(f"{where} names an option that no variant has", given=name, allowed=allowed)


def _numbered(content: Mapping[str, Any]) -> Mapping[str, Any]:
    if "schema" not in content:
        raise SpecError(
            "the spec does not say which schema it is written in", next_step=f"add `schema = {SCHEMA}` on top"
        )
    return content
