"""The machine: what must be the same for bits to be comparable, and what bounds the parallelism."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GROUP_FILES = ("memory.max", "memory.current")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The host.

    Attributes:
        system: Such as `Linux-x86_64`.
        cpu: The model's name.
        features: Digest of the instruction-set flags: the same model may show fewer under a hypervisor, and matrix
            multiplications then pick other kernels.
        cores: Usable cores.
    """

    system: str
    cpu: str
    features: str
    cores: int

    @property
    def fingerprint(self) -> str:
        """Bits are compared only between captures with the same fingerprint."""
        return f"{self.system}/{self.cpu}/{self.features}"


@functools.cache
def this_machine() -> Machine:
    """Describe the machine that runs us."""
    flags, model = _cpu()
    return Machine(
        system=f"{platform.system()}-{platform.machine()}",
        cpu=model,
        features=hashlib.sha256(flags.encode()).hexdigest()[:12],
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that a new process may take without swapping; a guess of 4 GiB where the system does not say.

    A control group may allow less than the machine has free, as in a container (Linux, cgroups: `memory.max` of
    version 2, `memory.limit_in_bytes` of version 1). What a group holds of files can be given back and counts as free.

    Args:
        root: Where the system's files begin.
    """
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"))
    return min([int(found[1]) * 1024 if found else 4 << 30, *_group_bytes(root)])


def _group_bytes(root: Path) -> Iterator[int]:
    """What each control group around this process still allows, from its own up to the outermost."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in {"", "memory"}:
            continue
        home = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        limit, usage = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else _GROUP_FILES
        own = home / path.strip("/")
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(home))):
            most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
            if most.isdigit() and used.isdigit():
                files = re.search(r"^(?:total_)?inactive_file (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
                yield max(0, int(most) - int(used) + (int(files[1]) if files else 0))


def _cpu() -> tuple[str, str]:
    """Flags and model name; on systems without /proc/cpuinfo what Python knows."""
    text = _text(Path("/proc/cpuinfo"))
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.MULTILINE)
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return (flags[1] if flags else platform.version()), (model[1] if model else platform.processor() or "unknown")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
