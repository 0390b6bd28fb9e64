"""The runtime of the image that `bench_image.py` compares with: the same network in eager torch, on one thread.

mltool finds it by an entry point, as it finds any runtime that somebody else has written.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn


class Eager:
    def __init__(self, network: nn.Module, signature: Any) -> None:
        self.network, self.signature = network.eval(), signature

    def run(self, inputs: Any) -> dict[str, Any]:
        (x,) = self.signature.checked(inputs).values()
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(x))
            return {"logits": logits.numpy(), "probabilities": logits.softmax(1).numpy()}


def load(model: Any, signature: Any, threads: int | None) -> Eager:
    torch.set_num_threads(threads or 1)
    stored = load_file(model.path / "weights.safetensors")
    weights = {name.removeprefix("network."): tensor for name, tensor in stored.items()}
    layers: list[nn.Module] = []
    for name in sorted(key for key in weights if key.endswith(".weight")):
        layers += [nn.Linear(*reversed(weights[name].shape)), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    network.load_state_dict(weights)
    return Eager(network, signature)
