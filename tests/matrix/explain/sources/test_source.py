"""The code that changed is shown, and what only looks different is not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from matrix.explain.anatomy import ModuleFacts
from matrix.explain.sources import loading, source, upstream
from matrix.explain.sources.source import SourceDiff

FILE = "transformers/models/tiny/modeling_tiny.py"
ATTENTION = '''
    """A tiny model."""
    import torch
    from torch import nn

    from .configuration_tiny import TinyConfig

    logger = logging.get_logger(__name__)


    def eager_attention_forward(module, query, key, mask=None):
        scores = query @ key
        return scores * module.scaling


    class TinyAttention(nn.Module):
        """Attention."""

        def __init__(self, config: TinyConfig):
            super().__init__()
            self.scaling = config.head_dim**-0.5

        def forward(self, x, mask=None):
            """Attend."""
            # what counts
            return eager_attention_forward(self, x, x, mask)


    class TinyMLP(nn.Module):
        def forward(self, x):
            return x
'''


def _site(folder: Path, version: str, files: dict[str, str]) -> Path:
    """A made-up site-packages."""
    (folder / f"transformers-{version}.dist-info").mkdir(parents=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return folder


def _facts(class_name: str = "TinyAttention", file: str = FILE, line: int = 0) -> ModuleFacts:
    return ModuleFacts(
        name="model",
        class_name=class_name,
        python_module=file.removesuffix(".py").replace("/", "."),
        file=file,
        line=line,
        scalars={},
    )


def _changed(folder: Path, old: str, new: str, class_name: str = "TinyAttention", text: str = ATTENTION) -> SourceDiff:
    """The diff after one piece of the file was replaced."""
    assert old in text
    good = _site(folder / "good", "4.57.6", {FILE: text})
    bad = _site(folder / "bad", "5.2.0", {FILE: text.replace(old, new)})
    return source.changed_code(good, bad, _facts(class_name), _facts(class_name))


def _lines(found: SourceDiff) -> list[str]:
    """What was taken out and put in."""
    return [line for line in found.diff.splitlines() if line[0] in "+-" and line[:3] not in {"+++", "---"}]


def test_a_function_that_the_class_calls_is_part_of_its_code(tmp_path: Path) -> None:
    found = _changed(tmp_path, "scores * module.scaling", "scores / module.scaling")
    assert found.diff.splitlines() == [
        "--- a/src/transformers/models/tiny/modeling_tiny.py",
        "+++ b/src/transformers/models/tiny/modeling_tiny.py",
        "@@ -10,3 +10,3 @@ eager_attention_forward",
        " def eager_attention_forward(module, query, key, mask=None):",
        "     scores = query @ key",
        "-    return scores * module.scaling",
        "+    return scores / module.scaling",
    ]
    assert (found.path, found.title, found.changed) == (
        "src/transformers/models/tiny/modeling_tiny.py",
        "TinyAttention",
        ("eager_attention_forward",),
    )
    assert (found.good_line, found.bad_line, found.cut, found.note) == (15, 15, 0, "")
    link = "https://github.com/huggingface/transformers/blob/v{}/src/transformers/models/tiny/modeling_tiny.py#L15"
    assert found.links == (link.format("4.57.6"), link.format("5.2.0"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# what counts", "# what counts more\n            # than that"),
        ('"""Attend."""', '"""Attend to\n            everything."""'),
        (
            "def forward(self, x, mask=None):",
            "def forward(\n            self,\n            x: int,\n            mask: int = None,\n        ) -> int:",
        ),
        (
            "return eager_attention_forward(self, x, x, mask)",
            "return eager_attention_forward(\n                self, x, x, mask\n            )",
        ),
        ("        def forward(self, x, mask", "        @auto_docstring(custom=1)\n        def forward(self, x, mask"),
        ("super().__init__()", 'super().__init__()\n            logger.warning_once("new")'),
        ("        def __init__(self", "        config: TinyConfig\n\n        def __init__(self"),
        ("            return x\n", "            return x + 1\n"),
        ("logging.get_logger(__name__)", "logging.get_logger()"),
        ("        def __init__(self", '        _DOC_ATTENTION = "docs"\n\n        def __init__(self'),
    ],
)
def test_what_computes_nothing_or_belongs_to_others_is_no_change(tmp_path: Path, old: str, new: str) -> None:
    found = _changed(tmp_path, old, new)
    assert (found.diff, found.changed) == ("", ())
    assert found.note == "the code of TinyAttention does the same on both sides"


def test_a_string_that_chooses_what_is_computed_is_a_change(tmp_path: Path) -> None:
    text = ATTENTION.replace("super().__init__()\n", 'super().__init__()\n            self.rope_type = "default"\n')
    found = _changed(tmp_path, '"default"', '"linear"', text=text)
    assert _lines(found) == ['-        self.rope_type = "default"', '+        self.rope_type = "linear"']


def test_of_a_header_only_what_changed_is_taken_out(tmp_path: Path) -> None:
    form = "def forward(\n            self,\n            {},\n            {},\n            {},\n        ):"
    one, other = (
        form.format("x: int", "scale=1.0", "mask=None"),
        form.format("x", "scale: float = 2.0", "mask: int = None"),
    )
    text = ATTENTION.replace("def forward(self, x, mask=None):", one)
    assert _lines(_changed(tmp_path, one, other, text=text)) == ["-        scale=1.0,", "+        scale: float = 2.0,"]


def test_a_comment_right_above_a_change_is_shown_with_it(tmp_path: Path) -> None:
    found = _changed(tmp_path, "return eager_attention_forward(self, x, x, mask)", "return x")
    assert "        # what counts" in found.diff
    assert _lines(found) == ["-        return eager_attention_forward(self, x, x, mask)", "+        return x"]


def test_forward_comes_first_and_the_rest_is_cut_and_counted(tmp_path: Path) -> None:
    text = ATTENTION.replace("config.head_dim**-0.5", "1 / config.head_dim").replace("return eager", "return 2 * eager")
    good = _site(tmp_path / "good", "4.57.6", {FILE: ATTENTION})
    bad = _site(tmp_path / "bad", "5.2.0", {FILE: text})
    whole = source.changed_code(good, bad, _facts(), _facts())
    assert whole.changed == ("TinyAttention.forward", "TinyAttention.__init__")
    lines = whole.diff.splitlines()
    short = source.changed_code(good, bad, _facts(), _facts(), limit=len(lines) - 2)
    assert short.diff.splitlines() == lines[:-2]
    assert (short.cut, whole.cut) == (2, 0)


def test_a_long_hunk_leaves_room_for_others(tmp_path: Path) -> None:
    long = "\n".join(f"            x = x + {number}" for number in range(40))
    text = ATTENTION.replace("config.head_dim**-0.5", "1 / config.head_dim").replace("# what counts", f"# more\n{long}")
    good = _site(tmp_path / "good", "4.57.6", {FILE: ATTENTION})
    bad = _site(tmp_path / "bad", "5.2.0", {FILE: text})
    whole, short = (source.changed_code(good, bad, _facts(), _facts(), limit=limit) for limit in (100, 30))
    assert whole.changed == short.changed == ("TinyAttention.forward", "TinyAttention.__init__")
    lines = short.diff.splitlines()
    kept = [line for line in lines if not line.startswith("…")]
    assert len(kept) == len(lines) - 1
    assert short.cut == len(whole.diff.splitlines()) - len(kept)
    assert f"… {short.cut} more lines of TinyAttention.forward" in lines


def test_fields_that_only_one_side_has_are_one_hunk(tmp_path: Path) -> None:
    fields = "scale: float = 1.0\n        window: int = 4\n\n        def __init__(self"
    found = _changed(tmp_path, "def __init__(self", fields)
    assert found.diff.splitlines()[2:] == [
        "@@ -0,0 +18,2 @@ TinyAttention",
        "+    scale: float = 1.0",
        "+    window: int = 4",
    ]


def test_a_forward_that_another_file_defines_is_inherited(tmp_path: Path) -> None:
    parent = "from torch import nn\n\n\nclass Base(nn.Module):\n    def forward(self, x):\n        return x{}\n"
    child = "from ..base.modeling_base import Base as Old\n\n\nclass TinyAttention(Old):\n    pass\n"
    sides = [
        _site(
            tmp_path / side,
            "5.2.0",
            {FILE: child, "transformers/models/base/modeling_base.py": parent.format(more)},
        )
        for side, more in (("good", ""), ("bad", " * 2"))
    ]
    found = source.changed_code(*sides, _facts(), _facts())
    assert found.changed == ("Base.forward",)
    assert "+++ b/src/transformers/models/base/modeling_base.py" in found.diff
    assert _lines(found) == ["-        return x", "+        return x * 2"]


def test_a_class_of_another_name_is_followed(tmp_path: Path) -> None:
    good = _site(tmp_path / "good", "4.48.0", {FILE: ATTENTION.replace("TinyAttention", "TinySdpaAttention")})
    bad = _site(tmp_path / "bad", "5.2.0", {FILE: ATTENTION.replace("query @ key", "key @ query")})
    found = source.changed_code(good, bad, _facts("TinySdpaAttention"), _facts())
    assert found.changed == ("eager_attention_forward",)


def test_what_one_side_lacks_is_said(tmp_path: Path) -> None:
    found = _changed(tmp_path, "class TinyMLP", "class TinyOther", class_name="TinyMLP")
    assert found.note == f"no TinyMLP in {FILE} of the bad side"
    assert found.diff == ""


def test_a_function_that_moved_to_another_file_is_no_new_one(tmp_path: Path) -> None:
    function = ATTENTION[ATTENTION.index("    def eager") : ATTENTION.index("    class TinyAttention")]
    moved = ATTENTION.replace(function, "").replace("import torch\n", "from ..shared import eager_attention_forward\n")
    good = _site(tmp_path / "good", "4.57.6", {FILE: ATTENTION})
    files = {FILE: moved, "transformers/models/shared.py": function.replace("query @ key", "key @ query")}
    bad = _site(tmp_path / "bad", "5.2.0", files)
    assert _lines(source.changed_code(good, bad, _facts(), _facts())) == [
        "-    scores = query @ key",
        "+    scores = key @ query",
    ]


def test_remote_code_is_the_same_on_both_sides(tmp_path: Path) -> None:
    file = "transformers_modules/tiny/modeling_tiny.py"
    facts = _facts(file=file, line=14)
    sides = [_site(tmp_path / side, "5.2.0", {file: ATTENTION}) for side in ("good", "bad")]
    for pair in (sides, [tmp_path / "gone"] * 2):
        found = source.changed_code(*pair, facts, facts)
        assert (found.path, found.diff, found.bad_line) == ("modeling_tiny.py", "", 14)
        assert "the same on both sides" in found.note


def test_torchs_own_modules_are_in_its_own_repository(tmp_path: Path) -> None:
    file = "torch/nn/modules/linear.py"
    text = "class Linear(Module):\n    def forward(self, x):\n        return x{}\n"
    sides = []
    for version, more in (("2.6.0+cpu", ""), ("2.14.0.dev20261101", " * 2")):
        site = _site(tmp_path / version, "5.2.0", {file: text.format(more)})
        (site / f"torch-{version}.dist-info").mkdir()
        sides.append(site)
    found = source.changed_code(*sides, _facts("Linear", file), _facts("Linear", file))
    assert found.path == file
    # a development version has no tag
    assert found.links == ("https://github.com/pytorch/pytorch/blob/v2.6.0/torch/nn/modules/linear.py#L1",)


def test_the_config_class_is_found_by_what_the_class_says(tmp_path: Path) -> None:
    config = (
        "class TinyConfig(PretrainedConfig):\n    def __init__(self, head_dim={}):\n        self.head_dim = head_dim\n"
    )
    named = "transformers/models/tiny/configuration_tiny.py"
    sides = [_site(tmp_path / side, "5.2.0", {FILE: ATTENTION, named: config.format(side)}) for side in ("32", "64")]
    found = source.config_class(*sides, _facts(), _facts())
    assert found
    assert (found.path, found.title) == ("src/transformers/models/tiny/configuration_tiny.py", "TinyConfig")
    assert _lines(found) == ["-    def __init__(self, head_dim=32):", "+    def __init__(self, head_dim=64):"]
    assert source.config_class(*sides, _facts("TinyMLP"), _facts("TinyMLP")) is None


GOOD_LOADING = """
    class PreTrainedModel(nn.Module):
        @classmethod
        def get_init_context(cls):
            init_contexts = [no_init_weights(), init_empty_weights()]
            return init_contexts

        def _move_missing_keys_from_meta_to_cpu(self, missing_keys):
            for key in missing_keys:
                value = torch.empty_like(self.state_dict()[key], device="cpu")
                load(self, key, value)

        def unrelated(self):
            return 1

        def tie_weights(self):
            self.head.weight = self.embed.weight
"""
BAD_LOADING = """
    class PreTrainedModel(nn.Module):
        @classmethod
        def get_init_context(cls):
            init_contexts = [torch.device("meta")]
            return init_contexts

        def _move_missing_keys_from_meta_to_device(self, missing_keys):
            for key in missing_keys:
                value = torch.empty_like(self.state_dict()[key], device="cpu")
                load(self, key, value)
            # no checkpoint holds them
            for key, buffer in self.named_non_persistent_buffers():
                value = torch.empty_like(buffer)
                load(self, key, value)

        def unrelated(self):
            return 2

        def tie_weights(self, missing_keys=None):
            self.head.weight = self.embed.weight
"""


def _loaders(folder: Path, good: str = "", bad: str = "") -> tuple[Path, Path]:
    file = "transformers/modeling_utils.py"
    return (
        _site(folder / "good", "4.57.6", {file: GOOD_LOADING, FILE: good}),
        _site(folder / "bad", "5.2.0", {file: BAD_LOADING, FILE: bad}),
    )


def test_the_loading_of_buffers_shows_what_leaves_them_unwritten(tmp_path: Path) -> None:
    found = loading.loading_path(*_loaders(tmp_path), "buffers")
    assert found.changed == (
        "PreTrainedModel._move_missing_keys_from_meta_to_device",
        "PreTrainedModel.get_init_context",
    )
    assert "+            value = torch.empty_like(buffer)" in found.diff
    assert "+        # no checkpoint holds them" in found.diff
    assert "unrelated" not in found.diff
    assert (found.path, found.good_line, found.bad_line) == ("src/transformers/modeling_utils.py", 7, 7)
    assert found.links[1].endswith("/v5.2.0/src/transformers/modeling_utils.py#L7")


def test_the_loading_of_ties_shows_what_ties(tmp_path: Path) -> None:
    found = loading.loading_path(*_loaders(tmp_path), "tied")
    assert found.changed == ("PreTrainedModel.tie_weights",)


def test_the_models_own_init_weights_comes_first(tmp_path: Path) -> None:
    own = "class TinyModel(PreTrainedModel):\n    def _init_weights(self, module):\n        module.scale.fill_({})\n"
    sites = _loaders(tmp_path, own.format(1), own.format(2))
    models = (_facts("TinyModel"), _facts("TinyModel"))
    found = loading.loading_path(*sites, "buffers", models)
    assert found.changed[0] == "TinyModel._init_weights"
    assert found.path == "src/transformers/models/tiny/modeling_tiny.py"
    assert loading.loading_path(*sites, "tied", models).changed == ("PreTrainedModel.tie_weights",)


def test_loading_that_did_not_change_says_so(tmp_path: Path) -> None:
    site, _ = _loaders(tmp_path)
    found = loading.loading_path(site, site, "buffers")
    assert (found.diff, found.note) == ("", "what decides the loading of buffers does the same on both sides")


def test_a_file_that_this_python_cannot_parse_is_not_there(tmp_path: Path) -> None:
    found = _changed(tmp_path, "class TinyMLP(nn.Module):", "class class:")
    assert found.note == f"no TinyAttention in {FILE} of the bad side"


def test_upstream_paths() -> None:
    assert upstream.path("transformers/activations.py") == "src/transformers/activations.py"
    assert upstream.path("torch/nn/functional.py") == "torch/nn/functional.py"
    assert upstream.path("/home/me/modules/transformers_modules/tiny/abc/modeling_tiny.py") == "modeling_tiny.py"
    assert upstream.path("timm/layers/norm.py") == "timm/layers/norm.py"
