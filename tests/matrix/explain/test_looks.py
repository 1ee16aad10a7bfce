from __future__ import annotations

from matrix.case import Case, Variant
from matrix.explain import looks
from matrix.plan import Job

LISTS = {"token_type_ids": [[0, 0, 1]], "labels": [1], "pixel_values": {"shape": [1, 3], "seed": 0}}
CASE = Case(name="tiny", checkpoint="tiny", input_ids=((5, 6, 7),), attention_mask=((0, 1, 1),), inputs=LISTS)
JOB = Job(case=CASE, variant=Variant())
RUNGS = {"one token": {"input_ids": ((6,),), "attention_mask": ((1,),), "token_type_ids": ((0,),)}}


def test_a_rung_takes_the_place_of_ids_mask_and_lists_of_their_shape() -> None:
    case = looks.at(JOB, "one token", RUNGS).case
    assert (case.input_ids, case.attention_mask) == (((6,),), ((1,),))
    assert case.inputs == {**LISTS, "token_type_ids": ((0,),)}


def test_the_given_input_is_the_cases_own() -> None:
    assert looks.at(JOB, "given", RUNGS) == JOB


def test_only_lists_of_the_ids_shape_are_cut_with_them() -> None:
    assert looks._lists(CASE) == {"token_type_ids": [[0, 0, 1]]}
