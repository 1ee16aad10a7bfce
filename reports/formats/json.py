"""report.json: everything a script may want to know about a run, schema 1.

JSON has no infinities and no NaN: they are the strings "inf", "-inf" and "nan". `max_abs_at` is the coordinate
[batch, position, vocabulary], or [batch, label] of logits without positions; position is -1 where the two sides were
given different ids and only the last position was compared. Where nothing was compared, `metrics` is empty; where the
bits are the same, its differences are 0. Sums over many elements (`l2_rel`, the cosines, the KL divergences) carry nine
digits: further ones depend on the CPU that rendered the report. A cosine below 1 stays below 1. Of a stale known
verdict, `cells` is the spec's pattern and `quiet_cells` are the ids of the cells where nothing is wrong any more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from matrix.compare import Comparison
from matrix.judge import Judgement
from matrix.outputs import OutputDifference
from matrix.verdicts import CellReport, Verdicts
from reports import tables
from reports.headline import headline

FILE = "report.json"
SCHEMA = 1

_RANK = 3
"""Of logits with positions: [batch, position, vocabulary]."""

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
}
"""Metrics of logits that are the same at every position that the mask keeps."""


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
        "findings": [asdict(finding) for finding in verdicts.findings],
        "stale_known": [{**asdict(stale.known), "quiet_cells": list(stale.cells)} for stale in verdicts.stale],
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(report: CellReport) -> dict[str, Any]:
    return {
        "id": report.cell.id,
        "axes": dict(report.cell.axes),
        "status": report.status,
        "reason": report.reason,
    }


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


def _metrics(judged: Judgement) -> dict[str, Any]:
    comparison = judged.comparison
    if comparison is None or comparison.shapes or not comparison.same_cpu:
        return {}
    found = _outputs(comparison.outputs) if comparison.outputs else dict(_SAME)
    return {**found, "first_differing_token": comparison.generation, **_rounding(judged, comparison)}


def _outputs(outputs: OutputDifference) -> dict[str, Any]:
    values, logits = outputs.values, outputs.logits
    at = values.max_abs_at
    return {
        "max_abs": values.max_abs,
        "max_abs_at": [at[0], -1, *at[2:]] if at and outputs.last_only and len(at) == _RANK else at,
        "baseline_value": values.baseline_value,
        "candidate_value": values.candidate_value,
        "l2_rel": _nine(values.l2_rel),
        "cosine": _nine(values.cosine),
        "one_minus_cosine": _nine(values.one_minus_cosine),
        "kl_max": _nine(logits.kl_max),
        "kl_mean": _nine(logits.kl_mean),
        "argmax_agreement": _nine(logits.argmax_agreement),
        "top5_overlap": _nine(logits.top5_overlap),
        "max_abs_by_position": logits.max_abs_by_position,
        "last_only": outputs.last_only,
    }


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
        "noise_floor_parts": dict(floor.parts) if floor else None,
        "k": floor.ratio(outputs.values.max_abs) if floor and outputs else None,
        "float64_max_abs": proof.after if proof else None,
        "float64_escaped": dict(proof.escaped) if proof else None,
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
