"""The command line of a sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from matrix import spec as specs
from matrix.errors import SpecError
from matrix.sweep import options
from matrix.sweep.heads import HEADS
from matrix.sweep.options import Asked


def test_without_a_word_every_type_is_swept_under_every_head() -> None:
    asked = options.parse([])
    assert asked == Asked()
    assert asked.heads == tuple(HEADS)


def test_heads_come_in_the_order_of_the_table_and_types_once() -> None:
    asked = options.parse(["llama", "gpt2", "llama", "--heads", "base", "causal-lm"])
    assert (asked.types, asked.heads) == (("llama", "gpt2"), ("causal-lm", "base"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs is not a number of cells"),
        (["--generate", "-1"], "--generate is not a number of tokens"),
        (["--shard", "3/2"], "--shard is not I/N"),
    ],
)
def test_a_wrong_number_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        options.parse(arguments)


@pytest.mark.parametrize("arguments", [["--heads", "none"], ["--nonsense"], ["--trans", "5.2.0"]])
def test_what_does_not_exist_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        options.parse(arguments)
    assert stopped.value.code == 2


def test_the_shipped_spec_gives_axes_variants_and_environments_but_no_case() -> None:
    shipped = specs.read(specs.SHIPPED)
    base = options.base(Asked())
    assert (base.axes, base.baseline, base.variants) == (shipped.axes, shipped.baseline, shipped.variants)
    assert {"gguf", "accelerate"} <= {*base.requirements}
    assert [case.name for case in base.case] == ["architectures"]


def test_the_command_line_goes_over_the_spec() -> None:
    given = ["--transformers", "5.2.0", "4.48.0", "--attention", "sdpa", "--dtype", "bfloat16"]
    base = options.base(options.parse([*given, "--baseline", "transformers-5.2.0"]))
    assert base.axes["transformers"].values == ("4.48.0", "5.2.0")
    assert base.baseline["transformers"] == "5.2.0"
    assert (base.variants.attention, base.variants.dtype) == (("sdpa",), ("bfloat16",))


def test_an_author_is_one_of_the_releases() -> None:
    with pytest.raises(SpecError, match="--author is none of the releases"):
        options.base(options.parse(["--author", "1.0"]))


def test_a_spec_without_the_axis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text('schema = 1\n[axes.torch]\nvalues = ["2.6.0"]\n', encoding="utf-8")
    with pytest.raises(SpecError, match="a sweep needs the axis transformers"):
        options.base(options.parse(["--spec", str(path)]))


def test_a_sweep_is_another_one_when_anything_that_it_looks_at_is_other() -> None:
    spec = options.base(Asked())
    digests = [
        asked.digest(spec) for asked in (Asked(), Asked(types=("llama",)), Asked(shard=(1, 2)), Asked(generate=1))
    ]
    assert len(set(digests)) == len(digests)
    assert options.parse(["--jobs", "2"]).digest(spec) == digests[0]
