"""report.json: everything a script may want to know about a run, schema 1.

JSON has no infinities and no NaN: they are the strings "inf", "-inf" and "nan". `output` names what the metrics are of:
the first output that differs, else the main one; where that holds no logits, their metrics are null. `max_abs_at` is
the coordinate [batch, position, vocabulary], or [batch, label] of logits without positions; position is -1 where the
two sides were given different ids and only the last position was compared. Where nothing was compared, `metrics` is
empty; where the bits are the same, its differences are 0. Sums over many elements (norms, cosines, softmaxes) carry
nine digits: further ones depend on the CPU that rendered the report. A cosine below 1 stays below 1. `perplexity` holds
mean negative log likelihoods. `flips` are the first 20 of `flip_count`; a flip that the noise floor may make is a tie,
and without a floor nothing is called one (null). `within` compares two variants of one cell: `option` is what differs
and `against` the variant that counts as right; a `noise_floor` is only an excuse where `rounding_plausible`. Of a stale
known verdict, `cells` is the spec's pattern and `quiet_cells` are the ids of the cells where nothing is wrong any more.
Of a case that looks at the tokenizer alone, `metrics` are how many of its answers differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from matrix.compare import Comparison
from matrix.judgement import Judgement
from matrix.logits import LogitsDifference
from matrix.model_outputs import is_scores
from matrix.outputs import OutputDifference
from matrix.tokenizer_difference import TokenizerDifference
from matrix.verdicts import CellReport, Verdicts
from reports import tables
from reports.distances import flip_place, is_tie, place, ties
from reports.headline import headline

FILE = "report.json"
SCHEMA = 1

_SAME: Mapping[str, Any] = {
    "max_abs": 0.0,
    "max_abs_at": None,
    "baseline_value": None,
    "candidate_value": None,
    "l2_rel": 0.0,
    "cosine": 1.0,
    "one_minus_cosine": 0.0,
    "kl_max": 0.0,
    "kl_mean": 0.0,
    "argmax_agreement": 1.0,
    "top5_overlap": 1.0,
    "max_abs_by_position": None,
    "last_only": False,
    "centred_l2_rel": 0.0,
    "centred_max_abs": 0.0,
    "log_softmax_max_abs": 0.0,
    "mutual_top5": 1.0,
    "flip_count": 0,
    "perplexity": None,
}
"""Metrics of an output that is the same at every position that the mask keeps."""

_OF_LOGITS = (
    *("kl_max", "kl_mean", "argmax_agreement", "top5_overlap", "max_abs_by_position", "centred_l2_rel"),
    *("centred_max_abs", "log_softmax_max_abs", "mutual_top5", "flip_count"),
)
"""Metrics that mean nothing for other outputs."""


def render(verdicts: Verdicts) -> str:
    """The run as JSON with keys in a fixed order."""
    run = verdicts.run
    content = {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "started": run.started,
            "host": dict(run.host),
            "spec_sha256": run.spec.sha256,
            "command": run.command,
        },
        "headline": headline(verdicts),
        "baseline": verdicts.plan.baseline.id,
        "cells": [_cell(report) for report in tables.in_order(verdicts)],
        "comparisons": [_comparison(judged) for judged in verdicts.judgements],
        "within": [_within(judged) for judged in verdicts.within],
        "findings": [asdict(finding) for finding in verdicts.findings],
        "stale_known": [{**asdict(stale.known), "quiet_cells": list(stale.cells)} for stale in verdicts.stale],
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(report: CellReport) -> dict[str, Any]:
    return {"id": report.cell.id, "axes": dict(report.cell.axes), "status": report.status, "reason": report.reason}


def _comparison(judged: Judgement) -> dict[str, Any]:
    known, again = judged.known, judged.same_ids
    return {
        "case": judged.job.case.name,
        "variant": asdict(judged.job.variant),
        "baseline": judged.baseline.cell.id,
        "candidate": judged.candidate.cell.id,
        "verdict": judged.verdict,
        "known": known is not None,
        "known_reason": known.reason if known else None,
        "known_link": known.link if known else None,
        "stage": judged.stage,
        "where": judged.where,
        "summary": judged.summary,
        "metrics": _metrics(judged),
        "same_ids": {"verdict": again.verdict, "summary": again.summary} if again else None,
        "notes": list(judged.notes),
    }


def _within(judged: Judgement) -> dict[str, Any]:
    """A comparison between two variants of one cell, which is both baseline and candidate."""
    against = asdict(judged.against.variant) if judged.against else None
    return {**_comparison(judged), "option": judged.within, "against": against}


def _metrics(judged: Judgement) -> dict[str, Any]:
    comparison = judged.comparison
    if judged.tokenizer:
        return _tokenizer(judged.tokenizer)
    if comparison is None or comparison.shapes or not comparison.same_cpu:
        return {}
    found = _outputs(comparison.outputs) if comparison.outputs else _same(comparison.output)
    return {
        "output": comparison.output,
        **found,
        "flips": _flips(judged, comparison.outputs) if comparison.outputs else [],
        "ties": ties(judged),
        "first_differing_token": comparison.generation,
        "first_differing_token_margin": comparison.margin,
        **_rounding(judged, comparison),
    }


def _tokenizer(found: TokenizerDifference) -> dict[str, Any]:
    """How many answers differ of how many, in all and by kind."""
    return {"items": sum(found.asked.values()), "differing": len(found.changes), "differing_by_kind": found.by_kind}


def _same(output: str) -> dict[str, Any]:
    return {**_SAME, **({} if is_scores(output) else dict.fromkeys(_OF_LOGITS))}


def _outputs(outputs: OutputDifference) -> dict[str, Any]:
    values, at = outputs.values, outputs.values.max_abs_at
    return {
        "max_abs": values.max_abs,
        "max_abs_at": place(at, outputs, -1) if at else at,
        "baseline_value": values.baseline_value,
        "candidate_value": values.candidate_value,
        "l2_rel": _nine(values.l2_rel),
        "cosine": _nine(values.cosine),
        "one_minus_cosine": _nine(values.one_minus_cosine),
        "last_only": outputs.last_only,
        **(_logits(outputs.logits) if outputs.logits else dict.fromkeys(_OF_LOGITS)),
        "perplexity": _perplexity(outputs),
    }


def _logits(logits: LogitsDifference) -> dict[str, Any]:
    return {
        "kl_max": _nine(logits.kl_max),
        "kl_mean": _nine(logits.kl_mean),
        "argmax_agreement": _nine(logits.argmax_agreement),
        "top5_overlap": _nine(logits.top5_overlap),
        "max_abs_by_position": logits.max_abs_by_position,
        "centred_l2_rel": _nine(logits.centred_l2_rel),
        "centred_max_abs": _nine(logits.centred_max_abs),
        "log_softmax_max_abs": _nine(logits.log_softmax_max_abs),
        "mutual_top5": _nine(logits.mutual_top5),
        "flip_count": logits.flip_count,
    }


def _perplexity(outputs: OutputDifference) -> dict[str, Any] | None:
    """Mean negative log likelihoods, in nats per token; the perplexity is their exponential."""
    if outputs.perplexity is None:
        return None
    before, after = outputs.perplexity
    return {"tokens": before.tokens, "baseline": _nine(before.mean_nll), "candidate": _nine(after.mean_nll)}


def _flips(judged: Judgement, outputs: OutputDifference) -> list[dict[str, Any]]:
    return [
        {**asdict(flip), "position": flip_place(flip, outputs, -1), "tie": is_tie(judged, flip)}
        for flip in (outputs.logits.flips if outputs.logits else ())
    ]


def _nine(value: float) -> float:
    """Nine significant digits, unless they would turn a number below 1 into 1."""
    short = float(f"{value:.9g}")
    return value if short == 1 and value != 1 else short


def _rounding(judged: Judgement, comparison: Comparison) -> dict[str, Any]:
    """The noise floor, how many of it the difference is, and what is left in float64; null where nothing was taken."""
    found, outputs = judged.rounding, comparison.outputs
    floor, proof = (found.floor, found.proof) if found else (None, None)
    return {
        "noise_floor": floor.max_abs if floor else None,
        "noise_floor_source": floor.source if floor else None,
        "noise_floor_parts": dict(floor.parts) if floor else None,
        "noise_floor_excluded": dict(floor.excluded) if floor else None,
        "k": floor.ratio(outputs.values.max_abs) if floor and outputs else None,
        "k_limit": floor.limit if floor else None,
        "float64_max_abs": proof.after if proof else None,
        "rounding_reaches": proof.reach if proof else None,
        "float64_vanishes": proof.vanishes if proof else None,
        "float64_escaped": dict(proof.escaped) if proof else None,
        "rounding_plausible": found.plausible if found else None,
        "rounding_misrounded": list(found.misrounded) if found else None,
        "rounding_lacking": list(found.lacking) if found else None,
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with every number that JSON lacks as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_finite(item) for item in value]
    return value
