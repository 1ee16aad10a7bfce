"""The report of a sweep: what is counted, what is told of each architecture, and how foreign text is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.sweep import answer as answers
from matrix.sweep.answer import Answer, CellSeen, Difference, Found, Seen, Shown, Unbuilt
from reports import sweep, sweep_tables, sweep_words

OLD, BASE, NEW = (f"transformers-{release}_torch-2.13.0" for release in ("4.48.0", "4.57.6", "5.2.0"))
EAGER = Shown(input="padded", attention="eager", dtype="float32")
SDPA = Shown(input="padded", attention="sdpa", dtype="float32")
ONE, ONE_SDPA = replace(EAGER, input="one"), replace(SDPA, input="one")
DIFFERENCE = Difference(
    cell=NEW,
    case="phi.causal-lm.padded",
    attention="eager",
    dtype="float32",
    verdict="drift",
    stage="buffers",
    where="model.inv_freq",
    summary="buffer `model.inv_freq` moves | much",
    max_abs=0.25,
    l2_rel=0.125,
    shown=(EAGER,),
    quiet=(SDPA, ONE, ONE_SDPA),
    axis="transformers",
    good="4.57.6",
    bad="5.2.0",
)
UNTIED = Shown(input="untied.short", attention="eager", dtype="float32")
LATER = replace(
    DIFFERENCE, cell=OLD, stage="load", where="lm_head.weight", max_abs=4.5, shown=(UNTIED,), quiet=(EAGER,),
    bad="4.48.0", known="as it should",
)  # fmt: skip
WORDS = "without lm_head.bias, which the release shares: 1 tensor has other values"


def _found(name: str, head: str = "causal-lm", **seen: Seen) -> Found:
    cells = {{"old": OLD, "new": NEW}[cell]: verdict for cell, verdict in seen.items()}
    return Found(type=name, head=head, author="4.48.0", built=True, spec="a b/spec.toml", baseline=BASE, seen=cells)


def _cell(name: str) -> CellSeen:
    axes = {part.partition("-")[0]: part.partition("-")[2] for part in name.split("_")}
    return CellSeen(id=name, axes=axes, status="captured", reason=None, knows={"causal-lm": 5})


ODD = Unbuilt(step="model", reason="no | x")
ANSWER = Answer(
    id="a-sweep",
    started="2026-01-01T00:00:00+00:00",
    command="nox -s sweep",
    digest="",
    baseline=BASE,
    cells=tuple(map(_cell, (OLD, BASE, NEW))),
    heads=("causal-lm", "base"),
    shard=None,
    held_fixed={"torch": "2.13.0", "dtype": "float32"},
    architectures=(
        _found("gpt2", old="identical", new="identical"),
        replace(_found("llama", old="identical", new="noise"), inert=("model.bias",), unwritten=("lm_head.bias",)),
        replace(_found("phi", old="identical", new="drift"), differences=(DIFFERENCE, LATER)),
        replace(_found("gone", old="identical", new="removed"), repaired={"checkpoint": WORDS, "untied": WORDS}),
        Found(type="odd", head="causal-lm", author="4.48.0", built=False, unbuilt=ODD, seen={}),
        Found(type="newest", head="causal-lm", author="5.2.0", built=False, seen={}),
        _found("gpt2", "base", old="identical", new="identical"),
    ),
)  # fmt: skip
QUIET = replace(ANSWER, architectures=tuple(found for found in ANSWER.architectures if found.type != "phi"))


def _write(folder: Path, answer: Answer) -> Path:
    folder.mkdir()
    answers.write(answer, folder)
    return folder


def test_the_headline_counts_each_architecture_once() -> None:
    assert sweep_words.headline(ANSWER) == (
        "Of 6 causal LMs and 1 base model, 4 and 1 were built and compared; 1 could not be built and 1 is known to no"
        " two releases that could be compared. Between 4.48.0 and 5.2.0, 2 are identical,"
        " 1 agrees up to rounding, 1 drifts and 1 was removed."
    )


def test_counts_are_per_head_and_cell_without_verdicts_that_nothing_has() -> None:
    rows = sweep_tables.counts(ANSWER).to_dict("records")
    assert rows[1] == {
        "head": "causal-lm", "cell": "5.2.0", "compared": "3", "identical": "1", "noise": "1", "drift": "1",
        "removed": "1",
    }  # fmt: skip
    assert [(row["head"], row["cell"], row["compared"]) for row in rows] == [
        ("causal-lm", "4.48.0", "4"),
        ("causal-lm", "5.2.0", "3"),
        ("base", "4.48.0", "1"),
        ("base", "5.2.0", "1"),
    ]


def test_only_what_is_loud_somewhere_is_told_apart() -> None:
    (row,) = sweep_tables.differing(ANSWER).to_dict("records")
    assert row == {
        "architecture": "phi.causal-lm", "4.48.0": "✅ identical", "4.57.6": "baseline", "5.2.0": "❌ drift",
    }  # fmt: skip


def test_every_change_has_the_cell_that_it_speaks_of_and_its_own_numbers() -> None:
    first, second = sweep_tables.changes(ANSWER).to_dict("records")
    assert first == {
        "architecture": "phi.causal-lm", "first in": "5.2.0", "verdict": "❌ drift", "stage": "buffers",
        "where": "model.inv_freq", "largest difference": "0.25", "relative L2": "0.125",
        "shows": "padded with eager only",
    }  # fmt: skip
    assert (second["architecture"], second["first in"], second["verdict"]) == (
        "phi.causal-lm",
        "4.48.0",
        "❌ drift (known)",
    )
    assert (second["largest difference"], second["shows"]) == ("4.5", "the untied checkpoint only")


def test_every_change_has_a_section_with_commands_and_a_line() -> None:
    text = sweep.render(ANSWER)
    for title, ends in (("5.2.0", "--good 4.57.6 --bad 5.2.0"), ("4.48.0", "--good 4.57.6 --bad 4.48.0")):
        section = text.partition(f"### phi.causal-lm, {title}\n")[2].partition("###")[0]
        assert f"drift in {title} against 4.57.6" in section
        assert section.count(ends) == 2
    printed = sweep.terminal(ANSWER, Path("sweep.md"))
    assert printed.count("phi.causal-lm: drift in ") == 2
    assert printed.count("Next: ") == 1


def test_a_terminal_lists_few_changes_and_counts_the_rest() -> None:
    phi = replace(ANSWER.architectures[2], differences=(DIFFERENCE,) * 17)
    printed = sweep.terminal(replace(ANSWER, architectures=(phi,)), Path("sweep.md"))
    assert printed.count("phi.causal-lm: drift in ") == 15
    assert "and 2 more" in printed


def test_what_no_checkpoint_holds_is_told_with_who_wrote_it() -> None:
    rows = sweep_tables.unwritten(ANSWER).to_dict("records")
    assert rows == [{"architecture": "llama.causal-lm", "author": "4.48.0", "names": "lm_head.bias"}]
    assert "Written without, though other releases have them" in sweep.render(ANSWER)


def test_what_an_author_does_not_load_as_it_wrote_it_is_told_per_file() -> None:
    rows = sweep_tables.repaired(ANSWER).to_dict("records")
    assert [(row["author"], row["file"], row["architectures"]) for row in rows] == [
        ("4.48.0", "checkpoint", "gone.causal-lm"),
        ("4.48.0", "untied", "gone.causal-lm"),
    ]
    assert {row["as it was written"] for row in rows} == {WORDS}
    assert "The author does not load its own file as it wrote it" in sweep.render(ANSWER)


@pytest.mark.parametrize(
    ("shown", "quiet", "words"),
    [
        ((EAGER, SDPA), (), "everything"),
        ((EAGER, SDPA), (ONE, ONE_SDPA), "padded only"),
        ((SDPA, ONE_SDPA), (EAGER, ONE), "sdpa only"),
        ((EAGER,), (SDPA, ONE, ONE_SDPA), "padded with eager only"),
        ((EAGER, ONE_SDPA), (SDPA, ONE), "padded with eager and one with sdpa"),
        ((EAGER,), (replace(EAGER, dtype="bfloat16"),), "float32-eager only"),
        ((UNTIED, replace(UNTIED, attention="sdpa")), (EAGER, SDPA), "the untied checkpoint only"),
        ((EAGER, UNTIED), (ONE,), "padded and the untied checkpoint only"),
        ((replace(UNTIED, attention="sdpa"),), (UNTIED, EAGER, SDPA), "the untied checkpoint with sdpa only"),
    ],
)
def test_what_shows_a_difference_is_said_in_as_few_words_as_are_true(
    shown: tuple[Shown, ...], quiet: tuple[Shown, ...], words: str
) -> None:
    assert sweep_words.shows(replace(DIFFERENCE, shown=shown, quiet=quiet)) == words


def test_the_commands_go_on_from_the_case_that_shows_it_most() -> None:
    found = ANSWER.architectures[2]
    common = "phi.causal-lm.padded --spec 'a b/spec.toml' --attention eager --good 4.57.6 --bad 5.2.0"
    both = [f"nox -s {name} -- {common}" for name in ("explain", "bisect")]
    assert sweep_words.commands(found, DIFFERENCE, ANSWER) == both
    along = replace(DIFFERENCE, axis="torch", verdict="error")
    free = replace(ANSWER, held_fixed={})
    assert "--axis torch --attention eager --dtype float32" in sweep_words.commands(found, along, free)[0]
    assert sweep_words.commands(found, replace(DIFFERENCE, verdict="missing"), ANSWER) == []


def test_the_report_accounts_for_everything_and_escapes_foreign_text() -> None:
    text = sweep.render(ANSWER)
    assert "moves \\| much" in text
    assert "no \\| x" in text
    for words in ("## Removed upstream", "only 5.2.0 knows it", "llama.causal-lm", "model.bias", "Held fixed: torch 2"):
        assert words in text
    assert text == sweep.render(ANSWER)


def test_sections_that_have_nothing_to_say_are_not_there() -> None:
    text = sweep.render(replace(ANSWER, architectures=(ANSWER.architectures[0],)))
    for words in (
        "## What differs",
        "One row per change",
        "Written without",
        "as it wrote it",
        "could not be built",
        "<details>",
    ):
        assert words not in text


@pytest.mark.parametrize(("answer", "code"), [(ANSWER, 1), (QUIET, 0)])
def test_files_are_written_latest_leads_there_and_the_exit_code_says_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Answer, code: int
) -> None:
    assert sweep.main([str(_write(tmp_path / "a-sweep", answer))], out=tmp_path / "out") == code
    assert {path.name for path in (tmp_path / "out" / "latest").iterdir()} == {"sweep.md", "sweep.json"}
    assert answers.read(tmp_path / "out" / "a-sweep") == answer
    printed = capsys.readouterr().out
    assert printed.startswith("Of ")
    assert max(len(line) for line in printed.splitlines() if not line.startswith(("Next: ", "Report: "))) <= 80


def test_a_cell_that_could_not_say_what_it_knows_is_told_with_its_reason() -> None:
    failed = replace(ANSWER.cells[2], status="env_failed", reason="no such release", knows={})
    answer = replace(ANSWER, cells=(*ANSWER.cells[:2], failed))
    assert "no such release" in sweep.render(answer)
    assert "5.2.0 (env_failed): no such release" in sweep.terminal(answer, Path("sweep.md"))


def test_an_answer_of_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _write(tmp_path / "a-sweep", ANSWER)
    text = (folder / answers.FILE).read_text(encoding="utf-8").replace('"schema": 1', '"schema": 99')
    (folder / answers.FILE).write_text(text, encoding="utf-8")
    assert sweep.main([str(folder)], out=tmp_path / "out") == 2
    assert "newer version" in capsys.readouterr().err
