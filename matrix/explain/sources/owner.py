"""Owner: whose bug a difference is, and who can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources import upstream
from matrix.explain.swap import PartKind
from matrix.repositories import REPOSITORIES
from matrix.spec import Stage

_FORMS = {"transformers": "?template=bug-report.yml", "torch": "?template=bug-report.yml"}
"""Which of a project's forms a bug report goes into, where it has several."""

THE_MODEL = "the model's repository"


@dataclass(frozen=True, kw_only=True)
class Trail:
    """What is known of where a difference comes from.

    Attributes:
        axis: The axis between whose values it appears, such as `transformers`.
        stage: The stage at which it starts.
        module: The first divergent module, or the one that holds the cause, on the bad side; None where unknown.
        part: The kind of part whose swap restores the good side; None where none was found.
        name: The part's name, such as `model.rotary_emb.inv_freq`; of several, the first and how many more there are.
        values: What the part is on the good and on the bad side, where that is one plain value.
        configured: Name and `path:line` of the config class, where its code changed.
        good: Package → version on the good side.
        bad: Package → version on the bad side.
        unwritten: Whether loading never wrote the part.
        one_sided: Whether the part is a parameter that only one side has at all.
        loading: `path:line` and name of the function that changed how such state is loaded, where one did.
        same_code: Whether the class's own code does the same on both sides.
        repository: Where the model's repository is, such as `org/name` on the hub; empty for a local folder.
    """

    axis: str
    stage: Stage | None = None
    module: ModuleFacts | None = None
    part: PartKind | None = None
    name: str = ""
    values: tuple[object, object] | None = None
    configured: tuple[str, str] | None = None
    good: Mapping[str, str] = field(default_factory=dict)
    bad: Mapping[str, str] = field(default_factory=dict)
    unwritten: bool = False
    one_sided: bool = False
    loading: tuple[str, str] | None = None
    same_code: bool = False
    repository: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the module's class came with the checkpoint."""
        return self.module is not None and self.module.python_module.split(".")[0] == upstream.REMOTE

    @property
    def is_state(self) -> bool:
        """Whether the cause is something that loading decides."""
        if self.part is not None:
            return self.part == "tensor"
        return self.unwritten or self.stage in {"load", "parameters", "buffers"}

    def moved(self, package: str) -> bool:
        """Whether both sides have another version of a package."""
        return self.good.get(package) != self.bad.get(package)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who should hear of it.

    Attributes:
        project: `transformers`, `torch`, another package, or `the model's repository`.
        report: A URL, or in words where to tell it.
        why: One sentence without a full stop.
        evidence: `path:line` upstream; empty where there is no line to point at.
        also: Who else can mend it, and how.
    """

    project: str
    report: str
    why: str
    evidence: str = ""
    also: tuple[Owner, ...] = ()


def owner(trail: Trail) -> Owner:
    """Whose bug it is, by the first that holds: tokens, another axis, only torch, remote code, else transformers."""
    for rule in (_tokens, _other_axis, _torch, _remote):
        if found := rule(trail):
            return found
    return _native(trail)


def _tokens(trail: Trail) -> Owner | None:
    if trail.stage != "tokens":
        return None
    versions = f"{trail.good.get('tokenizers')} and {trail.bad.get('tokenizers')}"
    if not trail.moved("transformers"):
        return (
            of("tokenizers", f"the tokens differ, and tokenizers is {versions}") if trail.moved("tokenizers") else None
        )
    # where both moved, the ids alone do not tell which of them did it
    also = of("tokenizers", f"fast tokenizers run in it, and it differs too: {versions}")
    why = "the tokens differ, and transformers builds the tokenizer"
    return of("transformers", why, also=(also,) if trail.moved("tokenizers") else ())


def _other_axis(trail: Trail) -> Owner | None:
    if trail.axis in {"transformers", "torch"} or trail.moved("transformers"):
        return None
    return of(trail.axis, f"only {trail.axis} differs between the two environments")


def _remote(trail: Trail) -> Owner | None:
    """The model's own code, which is the same on both sides: what is around it moved."""
    if not trail.is_remote or trail.module is None or trail.part == "dtype":
        return None
    said = f"{trail.module.class_name} is the model's own code"
    if trail.part in {"config", "scalar"}:
        return _told(trail, trail.module, f"{said}, and {trail.name} {_instead(trail)}")
    if not trail.is_state:
        return _told(trail, trail.module, f"{said}, and does something else under this {trail.axis}")
    what = trail.name or "its state"
    mended = f"{said}: `_init_weights` that computes {what} again would mend it"
    found = _told(trail, trail.module, mended if trail.unwritten else f"{said}, and {_not_the_same(trail)}")
    return replace(found, also=_loader(trail))


def _told(trail: Trail, module: ModuleFacts, why: str) -> Owner:
    where = f"{trail.repository}, " if trail.repository else ""
    told = f"{where}the repository that {upstream.path(module.file)} comes from"
    return Owner(project=THE_MODEL, report=told, why=why, evidence=_line(module))


def _loader(trail: Trail) -> tuple[Owner, ...]:
    """Who changed how remote code's state is loaded."""
    if trail.loading is None:
        return (of("transformers", f"the code is the same on both sides, and {_not_the_same(trail)}"),)
    place, function = trail.loading
    lost = "and leaves it unwritten" if trail.unwritten else "which has a part in loading"
    return (of("transformers", f"{function} changed, {lost}", place),)


def _torch(trail: Trail) -> Owner | None:
    """Where only torch moved, or where a class of torch's own does something else."""
    if trail.moved("transformers") or not (trail.axis == "torch" or trail.moved("torch")):
        return None
    module = trail.module
    if module is not None and module.file.split("/")[0] == "torch":
        return of("torch", f"{module.class_name} is torch's, and only torch differs", _line(module))
    place = f", first in {module.class_name}" if module else ""
    why = f"only torch differs between the two environments{place}"
    also = (
        (_told(trail, module, "its code may rely on what torch never promised"),) if module and trail.is_remote else ()
    )
    return of("torch", why, _line(module) if module else "", also)


def _native(trail: Trail) -> Owner:
    module = trail.module
    if module is None:
        return of("transformers", "only transformers' release differs, and the model is its own")
    # what torch defines is built and filled by transformers, so its line says nothing
    torchs = module.file.split("/")[0] == "torch"
    line = "" if torchs else _line(module)
    if trail.part in {"config", "dtype", "attention"}:
        return _asked(trail, line)
    whose = "is torch's" if torchs else f"in {upstream.path(module.file)} is transformers' own"
    said = f"{module.class_name} {whose}"
    if trail.part == "scalar":
        return of("transformers", f"{said}, and {trail.name} {_instead(trail)}", line)
    if not trail.is_state:
        further = ", and transformers is what differs" if torchs else ""
        code = "; its own code does the same, so look at what it calls" if trail.same_code and not torchs else ""
        return of("transformers", f"{said}{further}{code}", line)
    what = trail.name or "its state"
    place, function = trail.loading or (line, "")
    lost = f"`_init_weights` of its model has to fill {what}" if trail.unwritten else _not_the_same(trail)
    changed = f", and {function} changed" if function else ""
    return of("transformers", f"{said}: {lost}{changed}", place)


def _asked(trail: Trail, line: str) -> Owner:
    """What a load is asked for, or asks a config class for."""
    if trail.part != "config":
        what = "dtype" if trail.part == "dtype" else "attention kernel"
        return of("transformers", f"it decides on the {what}, which {_instead(trail)}")
    name, place = trail.configured or ("", line)
    changed = f"{name} changed, and " if name else ""
    return of("transformers", f"{changed}the config value {trail.name} {_instead(trail)}", place)


def _instead(trail: Trail) -> str:
    """`is 500000.0 instead of 10000.0`."""
    if trail.values is None or trail.values[0] is None:
        return f"{_be(trail)} not the same on both sides"
    good, bad = map(_plain, trail.values)
    return f"{_be(trail)} gone, and was {good}" if trail.values[1] is None else f"{_be(trail)} {bad} instead of {good}"


def _plain(value: object) -> str:
    """A value as a person writes it; functions and classes by their names."""
    return str(next(iter(value.values()))) if isinstance(value, Mapping) and len(value) == 1 else str(value)


def _not_the_same(trail: Trail) -> str:
    told = "only there on one side" if trail.one_sided else "not the same after loading"
    return f"{trail.name or 'its state'} {_be(trail)} {told}"


def _be(trail: Trail) -> str:
    """`are` of several parts."""
    return "are" if trail.name.endswith(" more") else "is"


def of(project: str, why: str, evidence: str = "", also: tuple[Owner, ...] = ()) -> Owner:
    """A project, with the address where it is told."""
    repository = REPOSITORIES.get(project)
    form = f"{repository}/issues/new{_FORMS.get(project, '')}"
    report = form if repository else f"the issue tracker of {project}"
    return Owner(project=project, report=report, why=why, evidence=evidence, also=also)


def _line(module: ModuleFacts) -> str:
    path = upstream.path(module.file)
    return f"{path}:{module.line}" if module.line else path
