"""Sections: one difference as Markdown: what happens, in which cells, the numbers, and what shows it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from matrix.capture import Failure
from matrix.judgement import Judgement
from matrix.tokenizer_difference import TokenizerDifference
from matrix.verdicts import Verdicts
from reports import commands, distances, evidence, rounding, tokenizers
from reports.differences import Difference, with_same_ids
from reports.escape import Markdown, code, fence, link, prose, quote, text
from reports.frames import frame, markdown
from reports.names import SYMBOLS, Names, listing
from reports.phrases import detail, relation, same_ids
from reports.spans import span

MAX_MESSAGES = 3

_ORIENTATION = " TransformerLens stands for what its guide calls usual at this dtype and kernel; no verdict uses it."


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A table, the sentence above it, and those below it."""

    caption: Markdown
    table: Markdown
    after: tuple[Markdown, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """One difference as the template shows it.

    Attributes:
        title: Case, verdict and span.
        known: Why it is expected, with a link.
        sentences: What happens, where along which axis.
        evidence: The earliest differing thing in every cell, then the metrics.
        messages: Error messages, fenced.
        command: What shows this alone.
    """

    title: Markdown
    known: Markdown | None
    sentences: tuple[Markdown, ...]
    evidence: tuple[Evidence, ...]
    messages: tuple[Markdown, ...]
    command: Markdown


def section(verdicts: Verdicts, names: Names, difference: Difference) -> Section:
    """One difference between cells, or between the variants of one cell."""
    where, cells = detail(difference, quote), span(verdicts, names, difference.judgements)
    says = "works, while the baseline fails," if difference.in_baseline else str(difference.verdict)
    if difference.first.within:
        says = relation(names, difference)
    title = f"{SYMBOLS[difference.verdict]} {difference.case}: {says} {cells}"
    return Section(
        title=prose(f"{title}, {where}" if where else title),
        known=_known(difference),
        sentences=tuple(_sentences(verdicts, names, difference)),
        evidence=tuple(_evidence(verdicts, names, difference)),
        messages=tuple(_messages(difference)),
        command=fence(commands.reproduce(verdicts, difference)),
    )


def _known(difference: Difference) -> Markdown | None:
    if difference.known is None:
        return None
    more = f" ({link('more', difference.known.link)})" if difference.known.link else ""
    return Markdown(text(difference.known.reason) + more)


def _sentences(verdicts: Verdicts, names: Names, difference: Difference) -> Iterator[Markdown]:
    """Where it starts, per axis, and what one comparison looks like where no message of its own says it."""
    first = difference.first
    for sentence, under in _starts(verdicts, names, difference).items() if not first.within else ():
        yield Markdown(f"{text(difference.case)} ({text(listing(under))}) {text(sentence)}.")
    if difference.verdict == "unstable" or not any(_messages(difference)):
        place = f"{names.cell(first.candidate.cell)} ({names.compared(first)})"
        yield Markdown(f"{text(place)}: {text(first.summary)}.")
    for sentence in same_ids(difference.judgements):
        yield Markdown(f"{sentence[0].upper()}{sentence[1:]}.")


def _starts(verdicts: Verdicts, names: Names, difference: Difference) -> dict[str, list[str]]:
    """Where it starts along an axis → the variants of which that is true."""
    said: dict[str, list[str]] = {}
    jobs = {job.variant: job for job in difference.jobs}
    for finding in verdicts.findings:
        if finding.case == difference.case and (job := jobs.get(finding.variant)):
            sentence = finding.sentence.removeprefix(job.id).lstrip(": ")
            said.setdefault(sentence, []).append(names.job(job))
    return said


def _evidence(verdicts: Verdicts, names: Names, difference: Difference) -> Iterator[Evidence]:
    """What differs first on every side, how far the logits lie apart, what that does, and what rounding may do."""
    first, judgements = difference.first, list(with_same_ids(difference.judgements))
    if first.tokenizer:
        yield from _tokenizers(names, difference, first.tokenizer)
    if first.comparison and (table := markdown(_earliest(verdicts, names, difference))):
        yield Evidence(caption=_caption(names, difference), table=table)
    if table := markdown(distances.distances(names, judgements)):
        whose = "of both variants" if first.within else "against the baseline's"
        yield Evidence(caption=Markdown(f"Logits {whose}, log-softmax in nats:"), table=table)
        caption = Markdown("Does it matter? KL divergence in nats; a flip is a position with another best token:")
        yield Evidence(caption=caption, table=markdown(distances.effects(names, judgements)))
    flips, more = distances.flips(names, judgements)
    if table := markdown(flips):
        caption = Markdown(
            f"The first flips, {more} more in all rows together:" if more else "Where the best token flips:"
        )
        yield Evidence(caption=caption, table=table)
    yield from weighed(names, difference.judgements)


def weighed(names: Names, judgements: Sequence[Judgement], *, cases: bool = False) -> Iterator[Evidence]:
    """What is known about rounding, where cells had a closer look."""
    found = rounding.weighed(names, judgements, cases=cases)
    if not found.empty:
        caption = Markdown("Is it rounding?" + (_ORIENTATION if rounding.ORIENTATION in found else ""))
        after = tuple(text(sentence) for sentence in rounding.said(names, judgements, cases=cases))
        yield Evidence(caption=caption, table=markdown(found), after=after)


def _tokenizers(names: Names, difference: Difference, found: TokenizerDifference) -> Iterator[Evidence]:
    """How much two tokenizers differ, and in what."""
    yield Evidence(caption=Markdown("Answers that differ:"), table=markdown(tokenizers.counted(found)))
    after = tuple(text(sentence) for sentence in tokenizers.left_out(found))
    caption = Markdown("The first of every kind, then in the order in which one thing follows from the other:")
    yield Evidence(caption=caption, table=markdown(tokenizers.items(names, difference)), after=after)


def _earliest(verdicts: Verdicts, names: Names, difference: Difference) -> pd.DataFrame:
    """What differs first, as far as a table can show it."""
    match difference.stage:
        case "load" | "parameters" | "buffers":
            return evidence.state(verdicts, names, difference)
        case "tokens":
            return evidence.tokens(verdicts, names, difference)
        case "config":
            return evidence.config(names, difference)
        case _:
            return frame([])


def _caption(names: Names, difference: Difference) -> Markdown:
    who, where = text(names.compared(difference.first)), code(difference.where or "")
    if difference.stage == "config":
        return Markdown("Config keys that both sides have, with different values:")
    if difference.stage == "tokens":
        return Markdown(f"Ids of every cell by position ({who}):")
    changing = "; another load may hold other values" if difference.verdict == "unstable" else ""
    return Markdown(f"First values of {where} in every cell ({who}{changing}):")


def _messages(difference: Difference) -> Iterator[Markdown]:
    """The distinct error messages, bounded."""
    failures = [failure for judged in difference.judgements for failure in _failures(judged, difference)]
    said = dict.fromkeys(f"{failure.type}: {failure.message}" for failure in failures)
    yield from [fence(message) for message in said][:MAX_MESSAGES]
    if len(said) > MAX_MESSAGES:
        yield text(f"… and {len(said) - MAX_MESSAGES} more messages, in report.json")


def _failures(judged: Judgement, difference: Difference) -> Iterator[Failure]:
    """What the failing side's loads said; of a load that works only sometimes, either side's and either load's."""
    unstable = difference.verdict == "unstable"
    failing = judged.baseline if difference.in_baseline else judged.candidate
    for side in (judged.candidate, judged.baseline) if unstable else (failing,):
        loads = (side.capture, side.repeat.second if side.repeat and unstable else None)
        yield from (load.failure for load in loads if load and load.failure)
