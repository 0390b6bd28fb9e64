from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from fit_testing import cnn, mlp, weights_digest
from torch import Tensor, nn

from mltool.modeling.training.checkpoint import Progress, load, save
from mltool.modeling.training.draws import drawn, seed
from mltool.modeling.training.optimizer import make_optimizer

PROGRESS = Progress(2, 34, 7, 1.25, 1, 0.5, 3.5, [{"epoch": 1, "train_loss": 0.7}, {"epoch": 2, "train_loss": 0.1}])


def trained(network: nn.Module, inputs: Tensor, optimizer_name: str = "adamw") -> torch.optim.Optimizer:
    optimizer = make_optimizer(network, optimizer_name, lr=0.01, weight_decay=0.1, momentum=0.9)
    for _ in range(3):
        network(inputs).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def test_everything_comes_back(tmp_path: Path) -> None:
    network = mlp()
    optimizer = trained(network, torch.randn(8, 13))
    best = {name: value + 1 for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    save(tmp_path / "c.safetensors", network, optimizer, best, PROGRESS)
    torch.rand(9)

    other = mlp()
    other_optimizer = make_optimizer(other, "adamw", lr=0.01, weight_decay=0.1, momentum=0.9)
    progress, other_best = load(tmp_path / "c.safetensors", other, other_optimizer)
    assert progress == PROGRESS
    assert weights_digest(other) == weights_digest(network)
    assert other_best is not None
    assert all(torch.equal(other_best[name], value) for name, value in best.items())
    assert torch.equal(torch.get_rng_state(), state)
    wanted, found = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert wanted.keys() == found.keys()
    for index, values in wanted.items():
        assert values.keys() == found[index].keys()
        assert all(torch.equal(values[name], found[index][name]) for name in values)


@pytest.mark.parametrize("optimizer_name", ["adamw", "sgd"])
def test_states_lie_in_memory_as_their_weights_do(tmp_path: Path, optimizer_name: str) -> None:
    network = cnn().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = torch.randn(4, 1, 6, 6).to(memory_format=torch.channels_last)
    optimizer = trained(network, inputs, optimizer_name)
    save(tmp_path / "c.safetensors", network, optimizer, None, Progress())
    other = cnn().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    other_optimizer = make_optimizer(other, optimizer_name, lr=0.01, weight_decay=0.1, momentum=0.9)
    assert load(tmp_path / "c.safetensors", other, other_optimizer)[1] is None
    weight = other[3].weight
    assert weight.stride() != weight.contiguous().stride()
    for value in other_optimizer.state[weight].values():
        assert value.shape != weight.shape or value.stride() == weight.stride()


def test_every_rank_has_its_own_random_state_and_a_new_one_keeps_what_it_came_with(tmp_path: Path) -> None:
    network = mlp()
    optimizer = trained(network, torch.randn(8, 13))
    states, wanted = [], []
    for rank in range(2):
        seed(7, rank)
        states.append(drawn())
        wanted.append((torch.rand(3).tolist(), np.random.random(), random.random()))
    save(tmp_path / "c.safetensors", network, optimizer, None, Progress(), states)
    assert wanted[0] != wanted[1]
    for rank in range(2):
        load(tmp_path / "c.safetensors", network, optimizer, rank)
        assert (torch.rand(3).tolist(), np.random.random(), random.random()) == wanted[rank]
    seed(7, 2)
    expected = torch.rand(3).tolist()
    seed(7, 2)
    load(tmp_path / "c.safetensors", network, optimizer, 2)
    assert torch.rand(3).tolist() == expected


def test_tied_weights_are_saved_and_stay_tied(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
        network[2].weight = network[0].weight
        return network

    network = tied()
    optimizer = trained(network, torch.randn(8, 5))
    save(tmp_path / "c.safetensors", network, optimizer, network.state_dict(), Progress())
    other = tied()
    other_optimizer = make_optimizer(other, "adamw", lr=0.01, weight_decay=0.1, momentum=0.9)
    load(tmp_path / "c.safetensors", other, other_optimizer)
    assert weights_digest(other) == weights_digest(network)
    assert other[2].weight is other[0].weight


def test_a_save_that_fails_leaves_the_last_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    network = mlp()
    optimizer = make_optimizer(network, "adamw", lr=0.01, weight_decay=0.1, momentum=0.9)
    path = tmp_path / "c.safetensors"
    save(path, network, optimizer, None, Progress(epoch=1))
    before = path.read_bytes()
    # A folder stands where the file would be written first.
    (tmp_path / f".c.safetensors.{os.getpid()}.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(path, network, optimizer, None, Progress(epoch=2))
    assert path.read_bytes() == before


def test_a_checkpoint_that_cannot_take_its_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    network, path = mlp(), tmp_path / "c.safetensors"
    path.mkdir()
    with pytest.raises(OSError):
        save(path, network, make_optimizer(network, "sgd", lr=0.01, weight_decay=0.0, momentum=0.9), None, Progress())
    assert list(tmp_path.iterdir()) == [path]
