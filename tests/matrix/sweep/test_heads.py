"""Heads are names of classes that transformers exports, and of what they are."""

from __future__ import annotations

import re

from matrix.sweep.heads import HEADS


def test_a_head_is_a_part_of_a_cases_name_that_can_be_told_from_its_type_and_input() -> None:
    for name, head in HEADS.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert not name.endswith("-untied")
        assert head.auto_class.startswith("AutoModel")
