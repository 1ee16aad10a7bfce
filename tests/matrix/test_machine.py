"""The machine is described by what decides bits."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.machine import available_bytes, this_machine


def test_the_fingerprint_follows_the_cpu_but_not_the_number_of_cores() -> None:
    machine = this_machine()
    assert replace(machine, features="others").fingerprint != machine.fingerprint
    assert replace(machine, cores=machine.cores + 1).fingerprint == machine.fingerprint


def test_usable_cores_and_memory_are_counted() -> None:
    assert 1 <= this_machine().cores <= (os.cpu_count() or 1)
    assert available_bytes() > 1 << 20


def _system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemAvailable: 8388608 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/job/own\n", "sys/fs/cgroup/job/memory.max": "max\n"}, 8),
        (
            {
                "proc/self/cgroup": "0::/job/own\n",
                "sys/fs/cgroup/job/memory.max": str(4 << 30),
                "sys/fs/cgroup/job/memory.current": str(3 << 30),
                "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {1 << 30}\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/own\n3:cpuset:/\n",
                "sys/fs/cgroup/memory/own/memory.limit_in_bytes": str(6 << 30),
                "sys/fs/cgroup/memory/own/memory.usage_in_bytes": str(1 << 30),
            },
            5,
        ),
    ],
)
def test_a_control_group_may_allow_less_than_the_machine_has(tmp_path: Path, files: dict[str, str], gib: int) -> None:
    assert available_bytes(_system(tmp_path, files)) == gib << 30
