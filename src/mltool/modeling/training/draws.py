"""The states of all random generators that a training may draw from, as plain data."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import torch


def seed(seed: int, rank: int = 0) -> None:
    """Start torch's generator; each rank has numbers of its own, so that dropout drops other units in each."""
    own = seed if rank == 0 else int(np.random.SeedSequence((seed, rank)).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(own)


def drawn() -> str:
    """Where the generators of this process are."""
    state: Any = np.random.get_state(legacy=True)
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        generators["cuda"] = torch.cuda.get_rng_state()
    return json.dumps(
        {
            "python": random.getstate(),
            "numpy": [state[0], state[1].tolist(), *state[2:]],
            "torch": {name: value.numpy().tobytes().hex() for name, value in generators.items()},
        }
    )


def draw_on(state: str) -> None:
    """Put the generators of this process back where `drawn` found them.

    Raises:
        LookupError: A generator is missing; or ValueError, TypeError, RuntimeError: its state is none.
    """
    states = json.loads(state)
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(_tensor(states["torch"]["cpu"]))
    if "cuda" in states["torch"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(_tensor(states["torch"]["cuda"]))


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
