"""Everything a run needs to go on bit for bit, in one safetensors file that is whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from mltool.core.errors import ArtifactError
from mltool.modeling.tensor_files import write_safetensors
from mltool.modeling.training.draws import draw_on, drawn

FILE = "checkpoint.safetensors"
LIGHTNING_FILE = "checkpoint.ckpt"
"""What Lightning writes in its place; it is read again only from the run folder that it was written to."""
FILES = (FILE, LIGHTNING_FILE)


@dataclass(slots=True)
class Progress:
    """Where a run stands; everything but tensors.

    Attributes:
        position: Samples of all ranks seen in this epoch.
        step: Optimizer steps since the beginning.
        loss_sum: Sum of the losses of this epoch's samples so far.
        best_epoch: The epoch with the smallest validation loss, counted from 1; 0 before the first.
    """

    epoch: int = 0
    position: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best_epoch: int = 0
    best_loss: float | None = None
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def save(
    path: Path,
    network: nn.Module,
    optimizer: Optimizer,
    best: dict[str, Tensor] | None,
    progress: Progress,
    draws: Sequence[str] | None = None,
) -> None:
    """Write a checkpoint between two steps, when there are no gradients.

    Args:
        draws: The random states of all ranks; by default this process is the only one.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in (best or {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    metadata = {"progress": json.dumps(asdict(progress)), "draws": json.dumps(draws or [drawn()])}
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_safetensors(staged, tensors, metadata)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def load(
    path: Path, network: nn.Module, optimizer: Optimizer, rank: int = 0
) -> tuple[Progress, dict[str, Tensor] | None]:
    """Put a run back where it was, and return its progress and its best weights.

    A rank that the run did not have when it was saved goes on with the random state that it comes with.

    Raises:
        ArtifactError: The file is damaged or belongs to another network.
    """
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(str(path), framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            draws = json.loads(file.metadata()["draws"])
            for key in file.keys():  # noqa: SIM118 - not a dictionary
                part, _, name = key.partition(".")
                parts[part][name] = file.get_tensor(key)
        network.load_state_dict(parts["network"])
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimizer"].items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = _laid_out_like(trained[int(index)], value)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        if rank < len(draws):
            draw_on(draws[rank])
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"the checkpoint `{path}` cannot be used: {error}", hint="start without --resume"
        ) from error
    return progress, parts["best"] or None


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    """`value` in the memory order of its weight, such as channels-last: fused optimizers walk memory, not indices."""
    return torch.empty_like(weight, dtype=value.dtype).copy_(value) if value.shape == weight.shape else value
