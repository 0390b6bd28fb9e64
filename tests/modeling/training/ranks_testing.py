"""Runs of the loop by several processes: `python ranks_testing.py FOLDER RANK SIZE` does all of them as one rank."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from fit_testing import cnn, copies, interrupted, make_fit, mlp, plain, weights_digest, without_seconds
from torch import Tensor, nn

from mltool.modeling.training import loop
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.ranks import Alone, Group, Ranks

TIMEOUT_S = 240.0


class Spare(nn.Module):
    """Has a weight that no loss reaches, constants, and a counter."""

    constant: Tensor
    num_seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.spare = plain(), nn.Linear(3, 3)
        self.register_buffer("constant", torch.full((5,), 0.1))
        self.register_buffer("spread_out", torch.ones(1).expand(4), persistent=False)
        self.register_buffer("num_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.num_seen += self.training
        return self.inner(x) + self.constant[0]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(13, 13), nn.Linear(13, 13), nn.Linear(13, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).tanh()).tanh())


class Dropping(nn.Module):
    """Remembers which units it dropped, as ones and zeros, batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.dropout = plain(), nn.Dropout(0.5)
        self.kept: list[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        kept = self.dropout(torch.ones(64))
        if self.training:
            self.kept.append(kept.bool().int().tolist())
        return self.inner(x) * kept.mean()


def without_norms(network: nn.Module) -> nn.Module:
    """The same network with nothing that depends on which samples a rank has."""
    for name, module in network.named_children():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.Dropout):
            setattr(network, name, nn.Identity())
    return network


def random_weights() -> nn.Module:
    """As from a user's class that draws from somewhere else: other weights in each process."""
    return nn.Sequential(nn.Linear(13, 16), nn.Tanh(), nn.Linear(16, 3))


SAME: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "adamw": (plain, {}),
    "sgd, accumulated and clipped": (plain, {"optimizer": "sgd", "lr": 0.02, "accumulate": 3, "clip_norm": 0.1}),
    "many small batches": (plain, {"batch_size": 3, "num_rows": 200, "epochs": 1}),
    "a last batch of two": (plain, {"num_rows": 17 * 5 + 2}),
    "steps of more batches than fit into a block": (plain, {"batch_size": 3, "accumulate": 70}),
    "channels last": (lambda: without_norms(cnn()).to(memory_format=torch.channels_last), {"images": True}),  # type: ignore[call-overload]
    "unused weights": (Spare, {}),
    "tied weights": (Tied, {}),
    "patience": (plain, {"learnable": False, "epochs": 30, "lr": 0.02, "patience": 2}),
    "one row to validate on": (plain, {"num_validation": 1}),
}
"""Runs that give the same losses with any number of processes."""

BY_THREE = ("adamw", "a last batch of two", "one row to validate on", "a small last batch with batch norm")
"""Those that three processes do as well as two."""

OWN: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "batch norm and dropout": (mlp, {"epochs": 3}),
    "bfloat16": (cnn, {"images": True, "bf16": True}),
    "a small last batch with batch norm": (mlp, {"num_rows": 17 * 5 + 3}),
}
"""Runs that give the same on all ranks, but other losses than one process."""


def fit_of(name: str, folder: Path, ranks: Ranks) -> Fit:
    build, knobs = (SAME | OWN)[name]
    return made(folder, build(), ranks, **knobs)


def made(folder: Path, network: nn.Module, ranks: Ranks, *, images: bool = False, **knobs: Any) -> Fit:
    if images:
        fit = make_fit(folder, "cnn", **knobs)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return dataclasses.replace(fit, network=network, ranks=ranks)
    return dataclasses.replace(make_fit(folder, network, **knobs), ranks=ranks)


def result(fit: Fit, history: list[dict[str, Any]]) -> dict[str, Any]:
    weights = {name: value.float().flatten().tolist() for name, value in copies(fit.network).items()}
    return {"history": without_seconds(history), "digest": weights_digest(fit.network), "weights": weights}


def alone(name: str, folder: Path) -> dict[str, Any]:
    """What one process comes to."""
    fit = fit_of(name, folder, Alone())
    return result(fit, fit.run())


def _stopped_and_resumed(folder: Path, group: Group) -> dict[str, Any]:
    """Batch norm, dropout and accumulation; Ctrl-C reaches one rank only, in the middle of a step."""
    knobs: dict[str, Any] = {"accumulate": 3, "epochs": 3}
    whole = made(folder / "whole", mlp(), group, **knobs)
    expected = result(whole, whole.run())
    for at_batch in (1, 8, 14, 20):
        fit = made(folder / str(at_batch), mlp(), group, **knobs)
        if group.rank == 1:
            interrupted(fit, at_batch)
        else:
            try:
                fit.run()
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("it did not stop")
        dist.barrier()  # the first rank has written its checkpoint
        again = made(folder / str(at_batch), mlp(), group, **knobs)
        assert result(again, again.run(resume=True)) == expected, at_batch
    return expected


def _stop_for_others(folder: Path, group: Group) -> None:
    """Leave a run in the middle of an epoch, for another number of processes to go on with."""
    fit = made(folder, plain(), group, accumulate=2)
    with contextlib.suppress(KeyboardInterrupt):
        interrupted(fit, 19) if group.rank == 0 else fit.run()


def main(folder: Path, rank: int, size: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store-{size}", rank=rank, world_size=size)
    group, found = Group(), {}
    for name in SAME | OWN if size == 2 else BY_THREE:
        own = folder / f"{name}-{size}"
        fit = fit_of(name, own, group)
        found[name] = result(fit, fit.run())
    found["stopped"] = _stopped_and_resumed(folder / f"stopped-{size}", group)
    loop._MAX_BLOCK_BATCHES = 3
    fit = made(folder / f"random-{size}", random_weights(), group)
    found["random weights"] = result(fit, fit.run())
    _stop_for_others(folder / f"for-others-{size}", group)
    dropping = Dropping()
    made(folder / f"dropping-{size}", dropping, group, epochs=1).run()
    found["dropped"] = dropping.kept[-4:]
    (folder / f"found-{size}-{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def together(folder: Path, size: int) -> list[dict[str, Any]]:
    """What each of `size` processes comes to, by the name of the run."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_rank(folder, rank, size)) for rank in range(size)]
        said = [process.communicate(timeout=TIMEOUT_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, "\n".join(said)
    return [json.loads((folder / f"found-{size}-{rank}.json").read_text()) for rank in range(size)]


@contextlib.contextmanager
def _rank(folder: Path, rank: int, size: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, str(folder), str(rank), str(size)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
