"""Code: which code changed where a difference starts, and whose it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix import environment
from matrix.cell import Cell
from matrix.explain.anatomy import Anatomy, ModuleFacts
from matrix.explain.cause import Cause
from matrix.explain.raised import Raised
from matrix.explain.sources import loading, source, upstream
from matrix.explain.sources.loading import Kind
from matrix.explain.sources.owner import Owner, Trail, owner
from matrix.explain.sources.source import SourceDiff
from matrix.judgement import Judgement
from matrix.state import ROOT


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """The module that is looked at, as both sides have it, and what is known of the cause.

    Attributes:
        good: The good side's anatomy.
        bad: The bad side's.
        name: The module's name; the model itself where nothing smaller is known.
        cause: What the swaps prove; None where nothing was swapped.
    """

    good: Anatomy
    bad: Anatomy
    name: str
    cause: Cause | None

    @property
    def modules(self) -> tuple[ModuleFacts, ModuleFacts]:
        """The module on both sides; the model itself where a side has none of that name.

        Where both sides have one torch, the module whose code makes and fills a module of torch's own.
        """
        good, bad = (
            _names(side.capture.environment.get("versions", {})).get("torch") for side in (self.good, self.bad)
        )
        name = self.name
        found = self._named(name)
        while name and good == bad and all(facts.file.split("/")[0] == "torch" for facts in found):
            name = name.rpartition(".")[0]
            found = self._named(name)
        return found

    def _named(self, name: str) -> tuple[ModuleFacts, ModuleFacts]:
        found = self.good.module(name), self.bad.module(name)
        return (found[0], found[1]) if found[0] and found[1] else self.models

    @property
    def models(self) -> tuple[ModuleFacts, ModuleFacts]:
        """The model itself on both sides."""
        return self.good.modules[0], self.bad.modules[0]

    @property
    def part(self) -> str:
        """The name of the first part that the cause is made of."""
        return self.cause.parts[0].name if self.cause and self.cause.parts else ""

    @property
    def unwritten(self) -> bool:
        """Whether loading never wrote that part on the bad side."""
        return self.part in self.bad.capture.uninitialised

    @property
    def one_sided(self) -> bool:
        """Whether that part is a parameter that only one side has at all, which no loading decides."""
        sides = [{state.name for state in side.capture.parameters} for side in (self.good, self.bad)]
        return self.part in sides[0] ^ sides[1]

    @property
    def state(self) -> Kind | None:
        """The kind of state that the cause is, if it is one that loading decides."""
        if self.cause is None or self.cause.kind != "state" or self.one_sided:
            return None
        if any(self._tied(side) for side in (self.good, self.bad)):
            return "tied"
        return "buffers" if self.part in {state.name for state in self.bad.capture.buffers} else "parameters"

    def _tied(self, side: Anatomy) -> bool:
        """Whether that part shares its memory with another parameter."""
        return any(state.alias and self.part in {state.name, state.alias} for state in side.capture.parameters)


def changes(suspect: Suspect) -> tuple[SourceDiff, ...]:
    """The class of the suspect, its config class, and what loads its state, each only where something changed."""
    return tuple(piece for piece in _pieces(suspect) if piece.diff or piece.note)


def _pieces(suspect: Suspect) -> Iterator[SourceDiff]:
    sites = suspect.good.site, suspect.bad.site
    yield source.changed_code(*sites, *suspect.modules)
    if suspect.state:
        yield loading.loading_path(*sites, suspect.state, suspect.models)
    configures = suspect.cause and suspect.cause.kind in {"config", "attribute", "unknown"}
    if configures or suspect.one_sided or (suspect.state and not suspect.unwritten):
        configured = source.config_class(*sites, *suspect.models)
        if configured and configured.diff:
            yield configured


def site(cell: Cell) -> Path | None:
    """A cell's site-packages; None where its environment is not where nox builds it."""
    return next(iter(sorted(_environment(cell).glob("lib/python3*/site-packages"))), None)


def interpreter(cell: Cell) -> Path | None:
    """A cell's Python; None where its environment is not where nox builds it."""
    path = environment.interpreter(_environment(cell))
    return path if path.exists() else None


def _environment(cell: Cell) -> Path:
    # as nox makes a folder's name of a session's (nox/sessions.py, _normalize_path)
    name = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "-", f"cell({cell.id})").lower()).strip("-")
    return ROOT / ".nox" / name


def of_failure(found: Raised, sites: tuple[Path | None, Path | None]) -> tuple[SourceDiff, ...]:
    """What changed in the function that one side fails in; nothing where either side's files are not found.

    Args:
        found: The error.
        sites: The good side's site-packages and the bad side's.
    """
    good, bad = sites
    if not found.frame or not good or not bad or found.frame.file.startswith("/"):
        return ()
    piece = source.changed_function((good, bad), found.frame.file, found.frame.line, on_bad=found.side == "bad")
    return (piece,) if piece and (piece.diff or piece.note) else ()


def whose_failure(found: Raised, axis: str, judged: Judgement) -> Owner:
    """Whose bug an error is: the owner of the code that raises it."""
    frame = found.frame
    remote = bool(frame and not frame.file.startswith(("transformers/", "torch/")))
    name = f"{upstream.REMOTE}.{frame.file}" if frame and remote else ""
    facts = ModuleFacts(
        name="",
        class_name=frame.function if frame else "the model",
        python_module=name,
        file=frame.file if frame else "",
        line=frame.line if frame else 0,
        scalars={},
    )
    return owner(Trail(axis=axis, stage=None, module=facts, good=_versions(judged)[0], bad=_versions(judged)[1]))


def whose_tokens(judged: Judgement, axis: str) -> Owner:
    """Whose bug other ids are."""
    good, bad = _versions(judged)
    return owner(Trail(axis=axis, stage="tokens", good=good, bad=bad))


def _versions(judged: Judgement) -> tuple[dict[str, str], dict[str, str]]:
    found = [
        side.capture.environment.get("versions", {}) if side.capture else {}
        for side in (judged.baseline, judged.candidate)
    ]
    return _names(found[0]), _names(found[1])


def whose(suspect: Suspect, judged: Judgement, axis: str, pieces: tuple[SourceDiff, ...]) -> Owner:
    """Whose bug it is."""
    versions = [side.capture.environment.get("versions", {}) for side in (suspect.good, suspect.bad)]
    known = suspect.cause.parts if suspect.cause and suspect.cause.kind != "unknown" else ()
    more = f" and {len(known) - 1} more" if len(known) > 1 else ""
    config = source.config_class(suspect.good.site, suspect.bad.site, *suspect.models)
    loads = [
        piece for piece in pieces if suspect.state and "transformers/modeling_utils.py" in piece.path and piece.diff
    ]
    place = f"{loads[0].path}:{loads[0].bad_line or loads[0].good_line}" if loads else ""
    return owner(
        Trail(
            axis=axis,
            stage=judged.stage,
            module=suspect.modules[1],
            part=known[0].kind if known else None,
            name=f"{known[0].name}{more}" if known else "",
            values=(known[0].good, known[0].bad) if known and known[0].kind != "tensor" else None,
            configured=(config.title, f"{config.path}:{config.bad_line}") if config and config.diff else None,
            good=_names(versions[0]),
            bad=_names(versions[1]),
            unwritten=suspect.unwritten,
            one_sided=suspect.one_sided,
            loading=(place, loads[0].changed[0]) if loads and loads[0].changed else None,
            same_code=bool(pieces and not pieces[0].diff),
        )
    )


def _names(versions: Mapping[str, str]) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name.lower()): version for name, version in versions.items()}
