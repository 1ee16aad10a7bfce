"""The machine is described by what decides bits."""

from __future__ import annotations

import os
from dataclasses import replace

from matrix.machine import available_bytes, this_machine


def test_the_fingerprint_follows_the_cpu_but_not_the_number_of_cores() -> None:
    machine = this_machine()
    assert replace(machine, features="others").fingerprint != machine.fingerprint
    assert replace(machine, cores=machine.cores + 1).fingerprint == machine.fingerprint


def test_usable_cores_and_memory_are_counted() -> None:
    assert 1 <= this_machine().cores <= (os.cpu_count() or 1)
    assert available_bytes() > 1 << 20
