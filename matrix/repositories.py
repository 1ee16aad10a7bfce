"""Repositories: where the sources of packages lie that a difference may come from."""

from __future__ import annotations

REPOSITORIES = {
    "accelerate": "https://github.com/huggingface/accelerate",
    "bitsandbytes": "https://github.com/bitsandbytes-foundation/bitsandbytes",
    "diffusers": "https://github.com/huggingface/diffusers",
    "huggingface-hub": "https://github.com/huggingface/huggingface_hub",
    "numpy": "https://github.com/numpy/numpy",
    "optimum": "https://github.com/huggingface/optimum",
    "peft": "https://github.com/huggingface/peft",
    "safetensors": "https://github.com/huggingface/safetensors",
    "sentencepiece": "https://github.com/google/sentencepiece",
    "tokenizers": "https://github.com/huggingface/tokenizers",
    "torch": "https://github.com/pytorch/pytorch",
    "torchaudio": "https://github.com/pytorch/audio",
    "torchvision": "https://github.com/pytorch/vision",
    "transformers": "https://github.com/huggingface/transformers",
}
"""Package → its repository on GitHub, where releases are tagged with a v before the version."""
