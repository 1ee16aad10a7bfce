"""Rewrites a safetensors file so that its tensors lie in memory as freshly allocated ones do.

Some releases use the mapped file as it is, and matrix kernels round differently on memory that is not aligned: the same
weights would give other bits for that alone. The format says nothing of alignment; it lets a header end in spaces, and
tensors stand in any order (safetensors, "Format": https://huggingface.co/docs/safetensors/index#format).
"""

import json
import os

from safetensors.torch import save_file

ALIGNMENT = 64
"""Bytes to which torch aligns what it allocates on a CPU (c10, `gAlignment`)."""


def align(folder):
    """Rewrite every safetensors file of a checkpoint in place."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                content = file.read()
            with open(path, "wb") as file:
                file.write(aligned(content))


def aligned(content):
    """The same tensors, those first whose sizes keep what follows them aligned, after a header padded with spaces."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", None)
    spans = {name: entry["data_offsets"] for name, entry in header.items()}
    order = sorted(spans, key=lambda name: ((spans[name][1] - spans[name][0]) % ALIGNMENT > 0, spans[name]))
    made, offset, parts = {} if metadata is None else {"__metadata__": metadata}, 0, []
    for name in order:
        begin, end = spans[name]
        made[name] = {**header[name], "data_offsets": [offset, offset + end - begin]}
        parts.append(content[start + begin : start + end])
        offset += end - begin
    text = json.dumps(made, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def named(folder, model_type, known):
    """Write a model type by which the release finds a config into one whose own name for it is unknown."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    if config.get("model_type") not in known:
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps({**config, "model_type": model_type}, indent=2, sort_keys=True) + "\n")


def with_all(folder, model):
    """Write a model's tensors under every name that they have: those that were left out until now, sorted."""
    path = os.path.join(folder, "model.safetensors")
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    left_out = sorted(set(tensors) - set(header))
    if left_out:
        save_file(tensors, path, metadata=header.get("__metadata__"))
        align(folder)
    return left_out
