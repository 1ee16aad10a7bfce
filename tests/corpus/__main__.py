"""`nox -s corpus`: run specs whose truth is known through the real engine, and score the tool against them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from tabulate import tabulate

from matrix import engine
from matrix import spec as specs
from matrix.console import say
from matrix.errors import EXIT_FOUND, EXIT_NO_CAPTURE, EXIT_OK, MatrixError, NoCaptureError, SpecError
from matrix.options import Options
from matrix.spec import Known, Spec
from matrix.state import State
from matrix.verdicts import judge_run
from reports.names import count
from tests.corpus.score import Measure, Row, Score, Share, score, total

FOLDER = Path(__file__).resolve().parent
_ROW_HEADERS = ("case", "variant", "cell", "truth", "tool")
_CASE_HEADERS = ("case", "releases", "truth", "stage", "where", "first bad", "link", "tool")


def main(arguments: Sequence[str], *, state: State | None = None) -> int:
    """Run the specs that were asked for and print their score; the exit code says whether it is good enough.

    Args:
        arguments: The command line after `nox -s corpus --`.
        state: Where runs lie; `.matrix/` by default.
    """
    asked = _parser().parse_intermixed_args(arguments)
    try:
        chosen = choose(asked.specs, asked.case, others=asked.all)
        scores = [run(path, cases, state or State(), fresh=asked.fresh) for path, cases in chosen.items()]
    except MatrixError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130
    show(scores, table=asked.table)
    return exit_code(total(scores))


def choose(names: Sequence[str], cases: Sequence[str], *, others: bool = False) -> dict[Path, tuple[str, ...]]:
    """The spec files to run, each with the cases to run of it; no case stands for all of them.

    Args:
        names: Files, or names of the corpus' own; none for all that need no other torch build.
        cases: Names of cases; none for all.
        others: Whether specs that need another torch build belong to all.

    Raises:
        SpecError: When a spec or a case does not exist.
    """
    found = {path: specs.read(path) for path in ([_path(name) for name in names] or sorted(FOLDER.glob("*.toml")))}
    found = {path: spec for path, spec in found.items() if names or others or not _other_builds(spec)}
    known = {path: [case.name for case in spec.case] for path, spec in found.items()}
    for name in cases:
        if not any(name in own for own in known.values()):
            raise SpecError("there is no such case", given=name, allowed=dict.fromkeys(chain(*known.values())))
    chosen = {path: tuple(name for name in own if name in cases) for path, own in known.items()}
    return {path: own for path, own in chosen.items() if own or not cases}


def run(path: Path, cases: tuple[str, ...], state: State, *, fresh: bool) -> Score:
    """Run one spec in a run of its own, judge it and score it.

    Raises:
        MatrixError: For a wrong spec; one without any capture is part of the score.
    """
    say(f"corpus: {path.stem}")
    arguments = ["--spec", str(path), *(["--case", *cases] if cases else [])]
    try:
        done = engine.matrix(Options(spec=path, case=cases, fresh=fresh), arguments, state)
    except NoCaptureError as error:
        return Score(lost=((path.stem, str(error)),))
    return score(path.stem, judge_run(done))


def exit_code(scored: Score) -> int:
    """What the score means to a script; an incomplete one means nothing."""
    if not scored.complete:
        return EXIT_NO_CAPTURE
    return EXIT_OK if scored.passes else EXIT_FOUND


def show(scores: Sequence[Score], *, table: bool) -> None:
    """Print the table of cases if it is asked for, the summary, and where tool and truth disagree."""
    whole = total(scores)
    parts = [case_table(whole)] if table else []
    parts += [summary(whole), *(part for one in scores if (part := disagreements(one))), *gaps(whole)]
    sys.stdout.write("\n\n".join(parts) + "\n")
    sys.stdout.flush()


def summary(scored: Score) -> str:
    """The score in a few lines."""
    state = "complete" if scored.complete else "INCOMPLETE"
    what = f"{count(len(_cases(scored)), 'case')}, {count(len(scored.rows), 'comparison')}, {state}"
    unmoved = f"; no bits moved here in {len(scored.unmoved)} more" if scored.unmoved else ""
    rows = [
        _line("recall: exactly this verdict", scored.recall),
        _line("recall: any verdict that is not quiet", scored.noticed),
        _line("false alarms", scored.false_alarms),
        _line(f"noise told as noise{unmoved}", scored.noise),
        _line("stage", scored.stage),
        _line("where", scored.where),
        _line("first bad release", scored.first_bad),
    ]
    return f"The tool against the truth: {what}\n\n{_tabulate(rows, ('', 'comparisons', 'cases'))}"


def disagreements(scored: Score) -> str:
    """One spec's comparisons and first bad releases where tool and truth disagree; nothing when they never do."""
    wrong = [row for row in scored.rows if not row.right]
    lines = [f"{s.case} {s.variant}: first bad {s.truth}, tool {s.found}" for s in scored.starts if s.found != s.truth]
    if wrong:
        rows = [(row.case, row.variant, row.cell, _truth(row.truth), _tool(row)) for row in wrong]
        lines.insert(0, _tabulate(rows, _ROW_HEADERS))
    return "\n".join(lines)


def gaps(scored: Score) -> list[str]:
    """What makes a score incomplete."""
    missing = [f"missing: {row.case} {row.variant} {row.cell}: {row.judged.summary}" for row in scored.missing]
    idle = [f"no comparison: {spec}/{entry.case} {_truth(entry)}: {entry.reason}" for spec, entry in scored.idle]
    lost = [f"no capture: {spec}: {reason}" for spec, reason in scored.lost]
    return ["\n".join(found) for found in (missing, idle, lost) if found]


def case_table(scored: Score) -> str:
    """One row per case: its truth, and what the tool says where the truth speaks."""
    return _tabulate([_case(case, rows, scored) for case, rows in _cases(scored).items()], _CASE_HEADERS)


def _case(case: str, rows: Sequence[Row], scored: Score) -> tuple[str, ...]:
    telling = [row for row in rows if row.positive] or [row for row in rows if row.noisy] or rows
    truths = [row.truth for row in telling if row.truth]
    wrong = sum(not row.right for row in rows)
    return (
        case,
        _words(row.cell for row in telling),
        _words(truth.verdict for truth in truths) or "quiet",
        _words(truth.stage for truth in truths),
        _words(truth.where for truth in truths),
        _words(start.truth for start in scored.starts if start.case == case),
        _words(truth.link for truth in truths),
        _words(row.judged.verdict for row in telling) + (f"; {wrong} of {len(rows)} wrong" if wrong else ""),
    )


def _cases(scored: Score) -> Mapping[str, list[Row]]:
    cases: dict[str, list[Row]] = {}
    for row in scored.rows:
        cases.setdefault(row.case, []).append(row)
    return cases


def _words(values: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _truth(truth: Known | None) -> str:
    return _verdict(truth.verdict, truth.stage, truth.where) if truth else "quiet"


def _tool(row: Row) -> str:
    return _verdict(row.judged.verdict, row.judged.stage, row.judged.where)


def _verdict(verdict: str, stage: str | None, where: str | None) -> str:
    return " · ".join(part for part in (verdict, stage, where) if part)


def _line(what: str, measure: Measure) -> tuple[str, str, str]:
    return what, _share(measure.comparisons), _share(measure.cases)


def _share(share: Share) -> str:
    return f"{share.hits} of {share.total} ({100 * share.rate:.4g} %)" if share.total else "none"


def _tabulate(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers=headers, disable_numparse=True)


def _path(name: str) -> Path:
    """A file as it is given, or the corpus' spec of that name."""
    for path in (Path(name), FOLDER / f"{name.removesuffix('.toml')}.toml"):
        if path.is_file():
            return path
    raise SpecError("there is no such spec", given=name, allowed=["a file", *_own()])


def _own() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _other_builds(spec: Spec) -> bool:
    return "torch" in spec.axes and len(spec.axes["torch"].values) > 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nox -s corpus --",
        description="Run specs whose [[known]] entries are the whole truth through the real engine, and count what the"
        " tool finds of it, what it finds besides, and whether it names the right place and release.",
        epilog="Exit code: 0 everything is found, nothing else is, noise is told as noise and 90 % of the places are"
        " right; 1 something is not; 2 the request is wrong; 3 the score is incomplete.",
    )
    text = f"a file, or one of {', '.join(_own())}"
    default = "default: all but those that need another torch build, which is a download of 5 GB"
    parser.add_argument("specs", nargs="*", metavar="SPEC", help=f"{text} ({default})".replace("%", "%%"))
    parser.add_argument("--all", action="store_true", help="the specs that need another torch build too")
    parser.add_argument("--case", nargs="+", default=(), metavar="NAME", help="only these cases")
    parser.add_argument("--table", action="store_true", help="print one row per case too")
    parser.add_argument("--fresh", action="store_true", help="take every capture again")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
