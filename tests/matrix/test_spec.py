"""A spec is read strictly: every mistake is one message with the way out; what is right can be printed back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix import plan, spec
from matrix import table as tables
from matrix.case import Variants
from matrix.errors import SpecError
from tests.matrix.builders import small_spec, table

CASE = {"name": "tiny", "checkpoint": "tiny"}
KNOWN = {"case": "tiny", "cells": {}, "verdict": "drift", "reason": "so"}


def _refusal(**changes: Any) -> str:  # noqa: ANN401 - what a spec may hold
    with pytest.raises(SpecError) as caught:
        small_spec(**changes)
    return str(caught.value)


def test_the_shipped_spec_can_be_printed_back() -> None:
    shipped = spec.read(spec.SHIPPED)
    again = spec.parse(json.loads(json.dumps(tables.write(shipped))))
    assert again == shipped
    assert again.sha256 == shipped.sha256


def test_the_shipped_spec_names_checkpoints_that_are_there() -> None:
    local = [c.checkpoint for c in spec.read(spec.SHIPPED).case if ":" not in c.checkpoint]
    assert local
    assert all((spec.SHIPPED.parent / path / "config.json").is_file() for path in local)


@pytest.mark.parametrize("profile", [None, *spec.read(spec.SHIPPED).profiles])
def test_the_shipped_spec_and_its_profiles_can_be_planned(profile: str | None) -> None:
    shipped = spec.read(spec.SHIPPED)
    assert plan.plan(spec.apply(shipped, profile) if profile else shipped).jobs


def test_absent_variants_take_the_defaults_key_by_key() -> None:
    assert small_spec(variants={}).variants == spec.DEFAULT_VARIANTS
    assert small_spec(variants={"dtype": ["bfloat16"]}).variants == Variants(
        dtype=("bfloat16",), attention=("eager", "sdpa"), device=("cpu",), threads=(1,), cache=("default",)
    )


def test_the_digest_follows_what_is_said_not_how_it_is_written() -> None:
    written_out = small_spec(case=[{**table()["case"][0], "generate": 0}])
    assert written_out.sha256 == small_spec().sha256
    assert small_spec(case=[{**table()["case"][0], "generate": 1}]).sha256 != written_out.sha256


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"baselin": {}}, ["unknown key", "did you mean 'baseline'?"]),
        ({"case": [{**CASE, "chekpoint": "x"}]}, ["key 'case', item 0 has an unknown key", "'checkpoint'?"]),
        ({"case": [{**CASE, "generate": True}]}, ["key 'generate' has the wrong type", "a whole number"]),
        ({"case": [{**CASE, "trust_remote_code": "yes"}]}, ["key 'trust_remote_code'", "true or false"]),
        ({"case": [{"name": "tiny"}]}, ["lacks the key 'checkpoint'"]),
        ({"case": [CASE, CASE]}, ["a case name appears twice", "tiny"]),
        ({"case": [{**CASE, "variants": {"dtype": ["float31"]}}]}, ["'float31'", "float32, bfloat16"]),
        ({"axes": {"torch": {"values": ["9.0", "9.0"]}}, "baseline": {}}, ["value of the axis 'torch' appears twice"]),
        ({"axes": {"torch": {"values": []}}, "baseline": {}}, ["the axis 'torch' has no values"]),
        ({"axes": {"torch": {"values": ["latest"]}}, "baseline": {}}, ["'torch' is not a release", "latest", "4.57.6"]),
        ({"axes": {"torch": {"values": ["9.0"], "kind": "pip"}}}, ["'pip'", "requirement, python, env"]),
        ({"axes": {"to rch": {"values": ["9.0"]}}}, ["axis has a name that is none", "to rch"]),
        ({"axes": {"torch": {"values": [9.0]}}}, ["item 0 has the wrong type", "a string"]),
        ({"baseline": {"transformers": "0.1"}}, ["baseline is not a value", "0.1", "1.0, 2.0, 3.0"]),
        ({"baseline": {"trasformers": "1.0"}}, ["baseline names an axis that does not exist", "torch, transformers"]),
        ({"known": [{**KNOWN, "cells": {"jax": "1"}}]}, ["[[known]] of 'tiny' names an axis", "jax"]),
        ({"known": [{**KNOWN, "verdict": "broken"}]}, ["'broken'", "noise, drift"]),
        ({"known": [{**KNOWN, "variant": {"atention": "sdpa"}}]}, ["option that no variant has", "dtype, attention"]),
        ({"known": [{**KNOWN, "stage": "logit"}]}, ["'logit'", "load, tokens, config, parameters"]),
        ({"known": [{**KNOWN, "within": "kernel"}]}, ["'kernel'", "dtype, attention, device, threads"]),
        ({"within": ["kernel"]}, ["'kernel'", "dtype, attention, device, threads"]),
        ({"case": [{**CASE, "within": "dtype"}]}, ["key 'within' has the wrong type"]),
        ({"case": [{**CASE, "variants": {"threads": [0]}}]}, ["no thread to run on", "1 or more"]),
        ({"exclude": [{"cells": {"jax": "1"}, "reason": "old"}]}, ["[[exclude]] with reason 'old'", "jax"]),
        ({"exclude": [{"cells": {"torch": "9.0"}}]}, ["lacks the key 'reason'"]),
        ({"schema": 2}, ["newer version of this tool", "allowed: 1"]),
        ({"schema": "1"}, ["key 'schema' has the wrong type"]),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(changes: dict[str, Any], parts: list[str]) -> None:
    message = _refusal(**changes)
    assert [part for part in parts if part not in message] == [], message


def test_a_spec_without_a_schema_is_told_the_line_to_add() -> None:
    content = table()
    del content["schema"]
    with pytest.raises(SpecError, match="add `schema = 1` on top"):
        spec.parse(content)


def test_a_file_that_is_not_toml_or_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    with pytest.raises(SpecError, match=r"cannot be read\n.*spec\.toml \(No such file.*\)\n.*check --spec"):
        spec.read(path)
    path.write_text("schema = = 1")
    with pytest.raises(SpecError, match=r"the spec is not TOML\n.*spec\.toml: .*line 1"):
        spec.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="the spec is not TOML"):
        spec.read(path)


def test_a_profile_changes_axes_variants_and_cases() -> None:
    profile = {"axes": {"torch": ["8.0", "9.0"]}, "variants": {"attention": ["sdpa"]}, "cases": ["other"]}
    whole = small_spec(profiles={"full": profile}, case=[CASE, {**CASE, "name": "other"}])
    changed = spec.apply(whole, "full")
    assert changed.axes["torch"].values == ("8.0", "9.0")
    assert (changed.variants.attention, changed.variants.dtype) == (("sdpa",), ("float32",))
    assert [case.name for case in changed.case] == ["other"]


@pytest.mark.parametrize(
    ("profile", "name", "what"),
    [
        ({}, "ful", "there is no such profile"),
        ({"cases": ["nobody"]}, "full", "there is no such case"),
        ({"axes": {"jax": ["1"]}}, "full", "profile 'full' names an axis that does not exist"),
        ({"axes": {"torch": ["8.0"]}}, "full", "the baseline is not a value of the axis 'torch'"),
    ],
)
def test_a_profile_that_names_nothing_is_refused(profile: dict[str, Any], name: str, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        spec.apply(small_spec(profiles={"full": profile}), name)


def test_without_profiles_the_message_says_so() -> None:
    with pytest.raises(SpecError, match="none is defined"):
        spec.apply(small_spec(), "full")


AXES = {"transformers": "5.2.0", "torch": "2.13.0", "python": "3.12", "MODE": "fast"}


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ({}, True),
        ({"transformers": "5.2.0"}, True),
        ({"transformers": "5.2"}, False),
        ({"transformers": "==5.2"}, True),
        ({"transformers": ">=5.0,<5.3"}, True),
        ({"transformers": ">=5.0", "torch": "<2.13"}, False),
        ({"MODE": "fast"}, True),
        ({"MODE": ">=1"}, False),
        ({"jax": "1"}, False),
        ({"transformers": "not a specifier"}, False),
    ],
)
def test_a_pattern_holds_exact_values_or_version_specifiers(pattern: dict[str, str], fits: bool) -> None:  # noqa: FBT001
    assert spec.matches(pattern, AXES) is fits


def test_a_specifier_takes_release_candidates_in() -> None:
    assert spec.matches({"transformers": ">=5.0.0rc0"}, {"transformers": "5.0.0rc1"})


def test_a_known_verdict_may_name_a_stage_and_the_option_that_differs() -> None:
    (known,) = small_spec(known=[{**KNOWN, "stage": "config", "within": "attention"}]).known
    assert (known.stage, known.within, known.where) == ("config", "attention", None)
    (known,) = small_spec(known=[KNOWN]).known
    assert (known.stage, known.within) == (None, None)


def test_options_to_compare_along_belong_to_the_spec_and_a_case_may_have_its_own() -> None:
    made = small_spec(within=["attention"], case=[CASE, {**CASE, "name": "own", "within": ["dtype", "threads"]}])
    assert (made.within, [case.within for case in made.case]) == (("attention",), [None, ("dtype", "threads")])
    assert spec.parse(json.loads(json.dumps(tables.write(made)))) == made


def test_a_case_may_ask_for_no_comparison_at_all_where_the_spec_asks_for_some() -> None:
    made = small_spec(within=["attention"], case=[{**CASE, "within": []}])
    assert made.case[0].within == ()
    assert spec.parse(json.loads(json.dumps(tables.write(made)))) == made


def test_the_dtype_may_be_each_releases_own_choice() -> None:
    assert small_spec(variants={"dtype": ["default"]}).variants.expand()[0].id == "default-eager"


def test_what_is_excluded_or_known_names_cases_that_exist(tmp_path: Path) -> None:
    exclude = '[[exclude]]\ncells = { MODE = "a" }\ncases = ["tniy"]\nreason = "x"\n'
    axes = 'schema = 1\n[axes.MODE]\nvalues = ["a"]\nkind = "env"\n'
    path = tmp_path / "spec.toml"
    path.write_text(f'{axes}[[case]]\nname = "tiny"\ncheckpoint = "tiny"\n{exclude}', encoding="utf-8")
    with pytest.raises(SpecError, match="there is no such case"):
        spec.read(path)
    # a file without cases is for sweeps, whose cases are made later
    path.write_text(axes + exclude, encoding="utf-8")
    assert spec.read(path).exclude[0].cases == ("tniy",)
