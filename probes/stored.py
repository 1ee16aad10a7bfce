"""What other captures hold, read from disk as it is needed: tensors, the other side's state, its calls of modules."""

import json
import os

import torch
from safetensors import safe_open

LINE = 64
"""Bytes of a cache line, which torch's own memory begins at; what is read from a file may lie anywhere."""


def placed(tensor, at):
    """A copy that begins so many bytes after the begin of a line: products round by that."""
    size = tensor.element_size()
    room = torch.empty(tensor.numel() + LINE // size, dtype=tensor.dtype)
    start = (at - room.data_ptr()) % LINE
    if start % size:
        return tensor
    return room[start // size :][: tensor.numel()].view(tensor.shape).copy_(tensor)


class Stored:
    """The tensors of a capture on disk, in the dtype that they had.

    Args:
        folder: The capture's folder.
    """

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "response.json"), encoding="utf-8") as file:
            self.facts = json.load(file)
        self.files = {}

    def tensor(self, name, dtype=None, file="tensors.safetensors"):
        """One tensor, read anew each time; dtype as the facts have it where it is not given."""
        if file not in self.files:
            self.files[file] = safe_open(os.path.join(self.folder, file), framework="pt")
        tensor = self.files[file].get_tensor(name)
        dtype = getattr(torch, dtype or self.facts["tensors"][name]["dtype"])
        return torch.view_as_complex(tensor.contiguous()).to(dtype) if dtype.is_complex else tensor.to(dtype)


class Other:
    """The state of the other side's model.

    Args:
        anatomy: The capture of its anatomy.
        restored: A swap of that side, whose values are the ones that were in effect; None without one.
    """

    def __init__(self, anatomy, restored=None):
        self.anatomy = anatomy
        self.restored = restored
        facts = anatomy.facts
        self.states = {e["name"]: e for kind in ("plain", "buffers", "parameters") for e in facts[kind]}

    def tensor(self, name):
        """A state tensor; None where that side has none of this name.

        Raises:
            LookupError: When it has one that was not kept.
        """
        if self.restored and name in self.restored.facts["held"]:
            return self.placed(name, self.restored.tensor("part/" + name, self.restored.facts["held"][name]))
        if name not in self.states:
            return None
        if name not in self.anatomy.facts["kept"]:
            raise LookupError(f"{name} was not kept")
        return self.placed(name, self.anatomy.tensor(self.anatomy.facts["kept"][name], self.states[name]["dtype"]))

    def placed(self, name, tensor):
        """The tensor in memory that begins where the other side's does within a line."""
        return placed(tensor, self.anatomy.facts["aligned"].get(name, 0))

    def same(self, one, other):
        """Whether two names of that side hold one content."""
        found = [self.states[name]["sha256"] for name in (one, other) if name in self.states]
        return one == other or (len(found) > 1 and found[0] == found[1])


class Recorded:
    """The calls of modules in another cell's trace, read from disk as they are needed.

    Args:
        stored: The capture of that trace.
    """

    def __init__(self, stored):
        self.stored = stored
        self.calls = {(c["module"], c["nth"]): c for c in stored.facts["calls"] if c["piece"] is None}

    def tensor(self, facts, like):
        """A recorded tensor, where the one that is here has its dtype and shape; else None.

        Of masks and positions, some releases make one row that stands for all: it is the same form.
        """
        if facts is None or facts["dtype"] != str(like.dtype)[6:]:
            return None
        own, shape = list(like.shape), facts["shape"]
        if own != shape and (len(own) != len(shape) or own[1:] != shape[1:] or 1 not in (own[:1] + shape[:1])):
            return None
        found = self.stored.tensor(facts["stored"], facts["dtype"], facts["file"]).to(like.device)
        return found.expand(like.shape).clone() if shape[:1] == [1] and own != shape else found
