"""The naive way: a pip venv per release, one process per checkpoint, one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.workload import RELEASES, TORCH

_LOAD = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
with torch.no_grad():
    logits = model(input_ids=torch.tensor([[3, 17, 45, 92, 8, 61, 23, 77, 104, 5, 38, 119]])).logits
torch.save(logits, sys.argv[2])
"""


def run(folder: Path, checkpoints: Sequence[Path]) -> None:
    """Build the environments and save every checkpoint's logits under every release.

    Raises:
        subprocess.CalledProcessError: When an installation fails; a checkpoint that does not load is left out.
    """
    for release in RELEASES:
        venv = folder / release
        python = str(venv / "bin" / "python")
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        install = [python, "-m", "pip", "install", "-qqq", f"transformers=={release}", f"torch=={TORCH}"]
        subprocess.run(install, check=True)
        for checkpoint in checkpoints:
            target = venv / f"{checkpoint.name}.pt"
            subprocess.run([python, "-I", "-c", _LOAD, str(checkpoint), str(target)], check=False, capture_output=True)
