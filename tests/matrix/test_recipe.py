from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix import recipe, weights
from matrix.errors import CheckpointError
from matrix.recipe import Recipe
from matrix.weights import Tensor

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "matrix" / "tiny"
CORPUS = ROOT / "tests" / "corpus" / "models"

# Changing a shipped recipe changes what every recorded run was made of: do it on purpose, and record it here.
RECORDED = {
    "gpt2-tiny": "021393c62f7fc47bf5c53dd7f345d69e89cb710f957d313bbde4aa1f12a0deb4",
    "llama-tiny": "755a9ffd0d2b4ad5bdabe18373a608ca5b1dbdd64f10d8769d72e085f74aa1fa",
    "remote-code-rope": "8cc93f2456d89031f0cdf775680b40bb1b56d0d44f4cb7c9f67e1462b1f178da",
    "remote-code-rope-fixed": "f2c81732a1855e11f40d73f71457a7496ade29e65f5e54c11b6b0da464f296e3",
}
PARAMETERS = {"gpt2-tiny": 69_696, "llama-tiny": 94_528, "remote-code-rope": 92_480, "remote-code-rope-fixed": 92_480}

WEIGHTS = """
seed = 1
layers = 2
[tensors]
"embed" = { shape = [4, 3], width = 1.0 }
"layers.{layer}.norm" = { shape = [5], center = 1.0, width = 0.25 }
"""

MakeRecipe = Callable[[str], Path]
Inherit = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeRecipe:
    def make_recipe(text: str) -> Path:
        folder = tmp_path / "recipe"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text('{"model_type": "llama"}')
        (folder / "weights.toml").write_text(text)
        return folder

    return make_recipe


@pytest.fixture
def inherit(make: MakeRecipe, tmp_path: Path) -> Inherit:
    """Write a recipe folder that holds nothing but what it changes; the base is named `recipe`."""
    (make(WEIGHTS) / "code.py").write_text("a = 1\nb = 1\n")

    def inherit_from(text: str = "", name: str = "child", base: str = "../recipe") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "weights.toml").write_text(f'base = "{base}"\n{text}')
        return folder

    return inherit_from


def tensors_of(file: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Read float32 safetensors without the code under test."""
    raw = file.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    body = raw[8 + length :]
    assert length % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(body)
    spans = {name: (entry["shape"], *entry["data_offsets"]) for name, entry in header.items()}
    return {
        name: (shape, list(struct.unpack(f"<{(end - start) // 4}f", body[start:end])))
        for name, (shape, start, end) in spans.items()
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_shipped_recipes_keep_their_recorded_digest(name: str) -> None:
    assert recipe.digest(recipe.read(TINY / name)) == RECORDED[name]


def test_every_shipped_recipe_is_recorded() -> None:
    assert {path.name for path in TINY.iterdir() if recipe.is_recipe(path)} == set(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_shipped_recipes_have_the_recorded_size(name: str, tmp_path: Path) -> None:
    recipe.write(recipe.read(TINY / name), tmp_path / name)
    stored = tensors_of(tmp_path / name / "model.safetensors")
    assert sum(len(values) for _, values in stored.values()) == PARAMETERS[name]


def test_shipped_recipes_have_seeds_of_their_own() -> None:
    seeds = [recipe.read(TINY / name).seed for name in RECORDED]
    assert len(set(seeds)) == len(seeds)


def test_tied_head_is_stored_only_where_the_config_does_not_tie_it() -> None:
    for name in RECORDED:
        stored = {tensor.name for tensor in recipe.read(TINY / name).tensors}
        config = json.loads((TINY / name / "config.json").read_text())
        assert ("lm_head.weight" in stored) == (not config["tie_word_embeddings"])


def test_fixed_code_differs_from_the_broken_code_by_its_guard_alone() -> None:
    broken, fixed = ((TINY / name / "modeling_minnow.py").read_text() for name in sorted(RECORDED)[2:])
    start, end = fixed.index("        elif isinstance(module, RotaryEmbedding)"), fixed.index("\n\nclass MinnowModel(")
    assert fixed[:start] + fixed[end:].lstrip(" ") == broken


def test_values_do_not_depend_on_the_other_tensors(make: MakeRecipe, tmp_path: Path) -> None:
    recipe.write(recipe.read(make(WEIGHTS)), tmp_path / "all")
    recipe.write(recipe.read(make(WEIGHTS.replace('"embed"', '"other"'))), tmp_path / "renamed")
    every, renamed = (tensors_of(tmp_path / name / "model.safetensors") for name in ("all", "renamed"))
    assert every["layers.1.norm"] == renamed["layers.1.norm"]
    assert every["embed"] != renamed["other"]


def test_layers_are_repeated_and_sorted(make: MakeRecipe, tmp_path: Path) -> None:
    recipe.write(recipe.read(make(WEIGHTS)), tmp_path / "out")
    stored = tensors_of(tmp_path / "out" / "model.safetensors")
    assert {name: shape for name, (shape, _) in stored.items()} == {
        "embed": [4, 3],
        "layers.0.norm": [5],
        "layers.1.norm": [5],
    }
    assert list(stored) == sorted(stored)
    assert stored["layers.0.norm"] != stored["layers.1.norm"]


def test_safetensors_library_reads_the_same_values(make: MakeRecipe, tmp_path: Path) -> None:
    numpy_reader = pytest.importorskip("safetensors.numpy")
    recipe.write(recipe.read(make(WEIGHTS)), tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    read = {name: (list(array.shape), array.ravel().tolist()) for name, array in numpy_reader.load_file(file).items()}
    assert read == tensors_of(file)


def test_files_are_copied_but_not_what_tools_leave_behind(make: MakeRecipe, tmp_path: Path) -> None:
    folder = make(WEIGHTS)
    (folder / "modeling_x.py").write_bytes(b"x = 1\r\n")
    for dropped in ("__pycache__/x.pyc", ".ruff_cache/CACHE"):
        (folder / dropped).parent.mkdir()
        (folder / dropped).write_bytes(b"")
    (folder / "sub").mkdir()
    (folder / "sub" / "vocab.txt").write_text("a")
    recipe.write(recipe.read(folder), tmp_path / "out")
    written = snapshot(tmp_path / "out")
    assert sorted(written) == ["config.json", "model.safetensors", "modeling_x.py", "sub/vocab.txt"]
    assert written["modeling_x.py"] == b"x = 1\r\n"


def test_writing_twice_gives_the_same_bytes(make: MakeRecipe, tmp_path: Path) -> None:
    folder = make(WEIGHTS)
    for target in ("a", "b"):
        recipe.write(recipe.read(folder), tmp_path / target)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_complete_target_is_kept(make: MakeRecipe, tmp_path: Path) -> None:
    made = recipe.read(make(WEIGHTS))
    recipe.write(made, tmp_path / "out")
    before = (tmp_path / "out").stat().st_ino
    recipe.write(made, tmp_path / "out")
    assert (tmp_path / "out").stat().st_ino == before


@pytest.mark.parametrize("damage", ["missing file", "cut file", "empty folder", "a file"])
def test_half_written_target_is_replaced(damage: str, make: MakeRecipe, tmp_path: Path) -> None:
    made = recipe.read(make(WEIGHTS))
    target = tmp_path / "deep" / "out"
    target.parent.mkdir()
    if damage == "a file":
        target.write_text("")
    else:
        target.mkdir()
    if damage == "cut file":
        recipe.write(made, target)
        (target / "model.safetensors").write_bytes(b"\0" * 8)
    if damage == "missing file":
        (target / "config.json").write_text('{"model_type": "llama"}')
    recipe.write(made, target)
    assert snapshot(target) == {**made.files, "model.safetensors": weights.safetensors(made.tensors, made.seed)}
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    impossible = Recipe(
        seed=1, tensors=(Tensor(name="a", shape=(1,), width=1.0),), files={"config.json/x": b"", "config.json": b""}
    )
    with pytest.raises(OSError, match=r"config\.json"):
        recipe.write(impossible, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_write_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from matrix import recipe;"
        "recipe.write(recipe.read(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(TINY / "gpt2-tiny"), str(tmp_path / "out")]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_digest_sees_weights_files_and_names(make: MakeRecipe) -> None:
    folder = make(WEIGHTS)
    digests = [recipe.digest(recipe.read(folder))]
    (folder / "a.txt").write_text("1")
    digests.append(recipe.digest(recipe.read(folder)))
    (folder / "a.txt").rename(folder / "b.txt")
    digests.append(recipe.digest(recipe.read(folder)))
    make(WEIGHTS.replace("seed = 1", "seed = 2"))
    digests.append(recipe.digest(recipe.read(folder)))
    assert len(set(digests)) == 4


def test_digest_ignores_comments_in_the_weights_file(make: MakeRecipe) -> None:
    plain = recipe.digest(recipe.read(make(WEIGHTS)))
    assert recipe.digest(recipe.read(make("# why\n" + WEIGHTS))) == plain


def test_a_checkpoint_is_not_a_recipe(make: MakeRecipe, tmp_path: Path) -> None:
    folder = make(WEIGHTS)
    recipe.write(recipe.read(folder), tmp_path / "out")
    assert recipe.is_recipe(folder)
    assert not recipe.is_recipe(tmp_path / "out")
    assert not recipe.is_recipe(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 1", "", "seed"),
        ("seed = 1", 'seed = "1"', "seed"),
        ("seed = 1", "seed = 1\nsede = 2", "sede"),
        ("width = 1.0", "widht = 1.0", "widht"),
        (", width = 1.0", "", "width"),
        ("[4, 3]", "[4, 0]", r"\[4, 0\]"),
        ("[4, 3]", "[]", "bad shape"),
        ("[4, 3]", "[4, 3.5]", "3.5"),
        ("[4, 3]", "12", "12"),
        ("width = 1.0", "width = -1.0", "-1.0"),
        ("width = 1.0", "width = nan", "nan"),
        ("width = 1.0", "width = 1e39", "float32"),
        ("layers = 2", "", "layers = 0"),
        ('"embed"', '"layers.0.norm"', "twice"),
        ("seed = 1", "seed == 1", "not TOML"),
    ],
)
def test_bad_weights_are_refused_with_what_was_given(old: str, new: str, message: str, make: MakeRecipe) -> None:
    with pytest.raises(CheckpointError, match=message):
        recipe.read(make(WEIGHTS.replace(old, new, 1)))


def test_a_recipe_without_tensors_is_refused(make: MakeRecipe) -> None:
    with pytest.raises(CheckpointError, match="no tensor"):
        recipe.read(make("seed = 1\n[tensors]\n"))


def test_a_recipe_without_config_is_refused(make: MakeRecipe) -> None:
    folder = make(WEIGHTS)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        recipe.read(folder)


def test_a_recipe_with_stored_weights_is_refused(make: MakeRecipe) -> None:
    folder = make(WEIGHTS)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="both"):
        recipe.read(folder)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        recipe.read(tmp_path)


def test_a_recipe_that_only_names_its_base_is_the_same_checkpoint(inherit: Inherit, tmp_path: Path) -> None:
    assert recipe.digest(recipe.read(inherit())) == recipe.digest(recipe.read(tmp_path / "recipe"))


def test_bases_chain_and_the_nearest_wins(inherit: Inherit) -> None:
    inherit('seed = 2\n[tensors]\n"embed" = { shape = [2], width = 1.0 }\n"more" = { shape = [1], width = 1.0 }')
    made = recipe.read(inherit('layers = 1\n[tensors]\n"embed" = { shape = [3], width = 1.0 }', "last", "../child"))
    assert made.seed == 2
    assert {tensor.name: tensor.shape for tensor in made.tensors} == {
        "embed": (3,),
        "layers.0.norm": (5,),
        "more": (1,),
    }


def test_one_layer_may_replace_what_a_pattern_gave_it(inherit: Inherit) -> None:
    made = recipe.read(inherit('[tensors]\n"layers.1.norm" = { shape = [7], width = 1.0 }'))
    assert [tensor.shape for tensor in made.tensors] == [(4, 3), (5,), (7,)]


@pytest.mark.parametrize(
    ("drop", "left"),
    [
        ("embed", ["layers.0.norm", "layers.1.norm"]),
        ("layers.{layer}.norm", ["embed"]),
        ("layers.0.norm", ["embed", "layers.1.norm"]),
    ],
)
def test_dropped_tensors_are_left_out(drop: str, left: list[str], inherit: Inherit) -> None:
    assert [tensor.name for tensor in recipe.read(inherit(f'drop = ["{drop}"]')).tensors] == left


def test_files_of_every_level_are_carried_and_the_nearest_wins(inherit: Inherit) -> None:
    folder = inherit()
    (folder / "code.py").write_text("c = 1\n")
    (folder / "new.txt").write_text("x")
    assert recipe.read(folder).files == {
        "config.json": b'{"model_type": "llama"}',
        "code.py": b"c = 1\n",
        "new.txt": b"x",
    }


def test_edits_apply_in_order_and_down_the_chain(inherit: Inherit) -> None:
    inherit('[[edit]]\nfile = "code.py"\nold = "a = 1"\nnew = "a = 2"\n')
    edits = """
[[edit]]
file = "code.py"
old = "a = 2"
new = "a = 3"
[[edit]]
file = "code.py"
old = "a = 3\\n"
new = ""
"""
    assert recipe.read(inherit(edits, "last", "../child")).files["code.py"] == b"b = 1\n"


def test_config_keys_are_laid_over_and_taken_out(inherit: Inherit) -> None:
    made = recipe.read(inherit('without = ["model_type"]\n[config]\neps = 1e-5\nrope = { type = "x", list = [1] }\n'))
    assert json.loads(made.files["config.json"]) == {"eps": 1e-5, "rope": {"type": "x", "list": [1]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('drop = ["embde"]', "embde"),
        ('drop = ["layers.2.norm"]', r"layers\.2\.norm"),
        ('without = ["modle"]', "modle"),
        ("[config]\nday = 2020-01-01", "not JSON"),
        ("[config]\neps = nan", "not JSON"),
        ('[[edit]]\nfile = "cod.py"\nold = "a"\nnew = ""', r"(?s)cod\.py.*code\.py"),
        ('[[edit]]\nfile = "code.py"\nold = "c"\nnew = ""', "code.py(?s:.*)0 times: 'c'"),
        ('[[edit]]\nfile = "code.py"\nold = " = 1"\nnew = ""', "code.py(?s:.*)2 times: ' = 1'"),
        ('[[edit]]\nfile = "code.py"\nold = ""\nnew = "x"', "code.py(?s:.*)exactly once"),
        ('[[edit]]\nfile = "code.py"\nold = "a"', "new"),
        ('[[edit]]\nfile = "code.py"\nodl = "a"', "odl"),
    ],
)
def test_changes_of_what_is_not_there_are_refused(text: str, message: str, inherit: Inherit) -> None:
    with pytest.raises(CheckpointError, match=message):
        recipe.read(inherit(text))


def test_a_base_without_a_recipe_is_refused(inherit: Inherit) -> None:
    with pytest.raises(CheckpointError, match=r"base that is no recipe(?s:.*)\.\./recpie"):
        recipe.read(inherit(base="../recpie"))


@pytest.mark.parametrize("base", [".", "../last", "../last/../child"])
def test_a_recipe_that_inherits_from_itself_is_refused(base: str, inherit: Inherit) -> None:
    folder = inherit(base=base)
    inherit("", "last", "../child")
    with pytest.raises(CheckpointError, match="inherits from itself"):
        recipe.read(folder)


def test_a_base_with_stored_weights_is_refused(inherit: Inherit, tmp_path: Path) -> None:
    (tmp_path / "recipe" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="both"):
        recipe.read(inherit())


def test_config_that_is_no_object_cannot_be_changed(inherit: Inherit, tmp_path: Path) -> None:
    folder = inherit("[config]\na = 1")
    for content, message in [("[]", "not a JSON object"), ("{", "not JSON")]:
        (tmp_path / "recipe" / "config.json").write_text(content)
        with pytest.raises(CheckpointError, match=message):
            recipe.read(folder)


@pytest.mark.parametrize(
    "folder", [path for path in sorted(CORPUS.iterdir()) if recipe.is_recipe(path)], ids=lambda folder: folder.name
)
def test_recipes_of_the_corpus_are_whole_and_their_code_compiles(folder: Path) -> None:
    made = recipe.read(folder)
    assert made.tensors
    for name, content in made.files.items():
        if name.endswith(".py"):
            assert compile(content, name, "exec").co_consts


def test_the_host_side_needs_no_numerical_library() -> None:
    code = "import sys, matrix.recipe; sys.exit(bool({'numpy', 'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
