"""The network that every server of `bench_serving.py` answers with, and its weights; needs torch alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

NUM_INPUTS = 64
WEIGHTS = "weights.pt"


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(NUM_INPUTS, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    ).eval()


def with_weights(folder: str | Path) -> nn.Sequential:
    """The network as the benchmark has it, on one thread: a second one costs more than it brings here."""
    torch.set_num_threads(1)
    net = network()
    net.load_state_dict(torch.load(Path(folder) / WEIGHTS, weights_only=True))
    return net
