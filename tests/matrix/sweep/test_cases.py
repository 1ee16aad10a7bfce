"""Cases made of what an author wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.case import Case
from matrix.plan import plan
from matrix.sweep import author, cases
from matrix.sweep.author import Authored
from matrix.sweep.cohort import Architecture, Cohort
from tests.matrix.builders import small_spec
from tests.matrix.sweep.project import write_authored

LLAMA = Architecture(type="llama", head="causal-lm")
SPEC = small_spec(variants={"attention": ["eager", "sdpa"]})


def _authored(folder: Path, **facts: Any) -> Authored:  # noqa: ANN401 - what a response may hold
    found = author.read(write_authored(folder, **facts))
    assert found
    return found


def _short(name: str) -> dict[str, Any]:
    return {"name": name, "input_ids": [[5]], "inputs": {}}


def test_each_input_is_a_case_the_widest_first_and_the_untied_checkpoint_has_one(tmp_path: Path) -> None:
    inputs = [_short(name) for name in ("one", "short", "padded")]
    made = cases.cases(LLAMA, _authored(tmp_path, untied=True, inputs=inputs), SPEC)
    assert [(case.name, Path(case.checkpoint).name) for case in made] == [
        ("llama.causal-lm.padded", "checkpoint"),
        ("llama.causal-lm.short", "checkpoint"),
        ("llama.causal-lm.one", "checkpoint"),
        ("llama.causal-lm-untied.short", "untied"),
    ]
    assert {case.auto_class for case in made} == {"AutoModelForCausalLM"}
    assert {case.timeout for case in made} == {cases.TIMEOUT}


def test_a_name_says_which_architecture_and_what_goes_in(tmp_path: Path) -> None:
    dotted = Architecture(type="gpt-j2.5", head="base")
    for one in (LLAMA, dotted):
        made = cases.cases(one, _authored(tmp_path / one.type, untied=True), SPEC)
        assert {cases.architecture_of(case) for case in made} == {one}
        assert [cases.input_of(case) for case in made] == ["padded", "one", "untied.one"]


@pytest.mark.parametrize(
    ("offered", "kept"), [(["eager"], ("eager",)), (["sdpa", "eager"], ("eager", "sdpa")), (["flex"], None)]
)
def test_kernels_are_those_that_are_offered_and_asked_for(
    tmp_path: Path, offered: list[str], kept: tuple[str, ...] | None
) -> None:
    made = cases.cases(LLAMA, _authored(tmp_path, attention=offered), SPEC)
    assert {case.variants.attention for case in made} == ({kept} if kept else set())


def test_tokens_are_generated_of_text_by_heads_that_generate(tmp_path: Path) -> None:
    plain = {"name": "plain", "input_ids": [], "inputs": {"pixel_values": {"shape": [1], "seed": 0}}}
    made = _authored(tmp_path, inputs=[_short("one"), plain])
    assert [case.generate for case in cases.cases(LLAMA, made, SPEC, 4)] == [4, 0]
    assert [case.generate for case in cases.cases(Architecture(type="llama", head="base"), made, SPEC, 4)] == [0, 0]


def test_a_cohorts_spec_leaves_out_what_a_release_no_longer_knows(tmp_path: Path) -> None:
    cells = plan(SPEC).cells
    kept = Architecture(type="gpt2", head="causal-lm")
    cohort = Cohort(author="1.0", spec=SPEC, architectures=(LLAMA, kept), removed={LLAMA: cells[1:]})
    spec = cases.spec_of(cohort, {one: _authored(tmp_path / one.type) for one in (LLAMA, kept)})
    assert spec
    names = ("llama.causal-lm.padded", "llama.causal-lm.one")
    assert [(exclusion.cells["transformers"], exclusion.cases) for exclusion in spec.exclude] == [
        ("2.0", names),
        ("3.0", names),
    ]
    laid = plan(spec)
    assert [len(laid.loads(cell)) for cell in laid.cells] == [10, 5, 5]


def test_a_cohort_that_wrote_nothing_has_no_spec() -> None:
    cohort = Cohort(author="1.0", spec=SPEC, architectures=(LLAMA,), removed={LLAMA: plan(SPEC).cells[1:]})
    assert cases.spec_of(cohort, {}) is None


def test_a_case_of_a_persons_own_belongs_to_none() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        cases.architecture_of(Case(name="mine", checkpoint="mine"))
