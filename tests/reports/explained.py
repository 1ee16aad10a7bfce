"""An explanation of the founding story, whole, for tests to change."""

from __future__ import annotations

from typing import Any

from matrix.explain.cause import Cause
from matrix.explain.explanation import Explanation, Module, Place, Question, Replay, Shown, Side, Step
from matrix.explain.script.offer import Reproducer, Seen
from matrix.explain.signs.signatures import Signature
from matrix.explain.sources.owner import Owner
from matrix.explain.sources.source import SourceDiff
from matrix.explain.swap import Part, Trial

ROPE = "model.rotary_emb.inv_freq"
PART = Part(kind="tensor", name=ROPE, good=(1.0, 0.1), bad=(3e-38, float("nan")))
QUESTION = Question(
    run="a-run",
    command="nox -s explain -- tiny --good 4.57.6 --bad 5.2.0",
    started="2026-11-21T12:00:00+00:00",
    case="tiny",
    checkpoint="tiny",
    remote_code=True,
    variant="float32-eager",
    axis="transformers",
    good="4.57.6",
    bad="5.2.0",
)
STEP = Step(module="model.rotary_emb", nth=0, piece=None, max_abs=1.99, l2_rel=0.5)
MODULE = Module(class_name="RotaryEmbedding", file="modeling_tiny.py", line=31)
CAUSE = Cause(
    kind="state",
    parts=(PART,),
    share=1.0,
    left=0.0,
    sufficient=True,
    necessary=True,
    injected=1.0,
    control=True,
    forwards=9,
    trials=(
        Trial(parts=("tensor:a", f"tensor:{ROPE}"), share=1.0, identical=True, max_abs=0.0),
        Trial(parts=("tensor:a",), share=None, identical=False, error="RuntimeError: no"),
    ),
    sentence=f"swapping `{ROPE}` from 4.57.6 into 5.2.0 restores 100 % of the difference (bit-identical)",
)
REPRODUCER = Reproducer(
    text='"""A script."""\n\nprint("different")\n',
    commands={"uv run repro.py": "both releases"},
    good=Seen(printed="0.5 [digest a]", digest="a"),
    bad=Seen(printed="nan [digest b]", digest="b"),
    reduced="Weights are made up; 1 of 2 layers.",
    needs_checkpoint=False,
)


def side(release: str) -> Side:
    versions = {"transformers": release, "torch": "2.13.0"}
    facts = {"python": "3.11.7", "platform": "Linux", "cpu": "a CPU", "torch": "2.13.0"}
    return Side(cell=f"transformers-{release}", axes={"transformers": release}, environment=facts, versions=versions)


def explanation(**changes: Any) -> Explanation:  # noqa: ANN401 - any of its fields
    whole: dict[str, Any] = {
        "question": QUESTION,
        "sides": (side("4.57.6"), side("5.2.0")),
        "verdict": "unstable",
        "stage": "buffers",
        "where": ROPE,
        "summary": f"loading leaves {ROPE} as uninitialised memory",
        "notes": ("buffers added: model.rotary_emb.original_inv_freq",),
        "shown": Shown(
            rung="short",
            lists={"input_ids": ((3, 17), (0, 45)), "attention_mask": ((1, 1), (0, 1))},
            tried={"one token": "the same", "short": "differs"},
        ),
        "inert": True,
        "place": Place(
            step=STEP,
            good=MODULE,
            bad=MODULE,
            same=("position_ids",),
            notes=("argument dtype is 'a' on the good side, 'b' on the bad side",),
            by_position=(0.0, 0.46, float("inf")),
            later=(Step(module="", nth=0, piece=None, max_abs=4.0, l2_rel=0.3), STEP),
        ),
        "replay": Replay(calls=30, incomparable=0, faulty=(STEP,)),
        "cause": CAUSE,
        "facts": (f"`{ROPE}`: never written, so uninitialised memory, by 5.2.0",),
        "signatures": (
            Signature(
                key="uninitialised",
                symptom="two loads differ",
                evidence=f"loading never wrote {ROPE}",
                likely_cause="uninitialised memory",
                look_at="`register_buffer(…)`",
            ),
        ),
        "changes": (
            SourceDiff(
                path="src/transformers/modeling_utils.py",
                title="how buffers are loaded",
                diff="--- a/x\n+++ b/x\n@@ -1 +1 @@ f\n-old\n+value = torch.empty_like(buffer)",
                cut=2,
                links=(
                    "https://github.com/huggingface/transformers/blob/v5.2.0/src/transformers/modeling_utils.py#L1",
                ),
            ),
        ),
        "owner": Owner(
            project="the model's repository",
            report="tiny, the repository that modeling_tiny.py comes from",
            why="RotaryEmbedding is the model's own code",
            also=(
                Owner(project="transformers", report="https://github.com/huggingface/transformers/issues", why="it"),
            ),
        ),
        "reproducer": REPRODUCER,
    }
    return Explanation(**{**whole, **changes})
