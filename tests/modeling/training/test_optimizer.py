from __future__ import annotations

import pytest
import torch
from fit_testing import cnn, mlp, weights_digest
from torch import Tensor, nn

from mltool.core.errors import ConfigError
from mltool.modeling.config import OPTIMIZERS
from mltool.modeling.training.optimizer import lean_step, make_optimizer
from mltool.modeling.training.speed import as_channels_last


def made(network: nn.Module, name: str) -> torch.optim.Optimizer:
    return make_optimizer(network, name, lr=0.05, weight_decay=0.5, momentum=0.8)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_the_config_is_made(name: str) -> None:
    optimizer = made(mlp(), name)
    assert type(optimizer).__name__.lower() == name
    assert all(bool(group["fused"]) is (name != "sgd") for group in optimizer.param_groups)
    assert {group["lr"] for group in optimizer.param_groups} == {0.05}
    if name == "sgd":
        assert {group["momentum"] for group in optimizer.param_groups} == {0.8}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_matrices_are_decayed(name: str) -> None:
    network = mlp()
    decay = {
        id(weight): group["weight_decay"] for group in made(network, name).param_groups for weight in group["params"]
    }
    assert {len(w.shape): decay[id(w)] for w in network.parameters()} == {1: 0.0, 2: 0.5}
    assert len(decay) == len(list(network.parameters()))


def test_tied_weights_are_trained_once_and_frozen_ones_never() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    network[2].requires_grad_(False)
    weights = [weight for group in made(network, "sgd").param_groups for weight in group["params"]]
    assert len(weights) == 3


def test_a_network_without_trainable_weights_is_refused() -> None:
    for network in (nn.Flatten(), nn.Linear(2, 2).requires_grad_(False)):
        with pytest.raises(ConfigError, match="no trainable weights"):
            made(network, "adamw")


def test_double_precision_is_trained_without_the_fused_form() -> None:
    assert not any(group["fused"] for group in made(nn.Linear(2, 2).double(), "adamw").param_groups)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_fused_form_steps_as_the_plain_one_in_both_memory_orders(name: str) -> None:
    inputs = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    results = []
    for fused, channels_last in ((True, False), (True, True), (False, False)):
        network = as_channels_last(cnn()) if channels_last else cnn()
        network.eval()
        optimizer = made(network, name)
        for group in optimizer.param_groups:
            group["fused"] = fused
        for _ in range(5):
            network(inputs).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        results.append(network[3].weight.detach().clone())
    torch.testing.assert_close(results[0], results[2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(results[1], results[2], rtol=1e-4, atol=1e-5)


class Unused(nn.Module):
    """Its second layer takes part in some batches only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(5, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second(y) if float(x.sum()) > 0 else y


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_lean_step_changes_every_bit_as_the_step_of_torch_does(name: str) -> None:
    digests = []
    for is_lean in (True, False):
        network = Unused()
        optimizer = made(network, name)
        generator = torch.Generator().manual_seed(1)
        for number in range(12):
            network(torch.randn(4, 5, generator=generator)).square().sum().backward()
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (number + 1)
            (lean_step(optimizer) if is_lean else optimizer.step)()
            optimizer.zero_grad()
        states = [value for state in optimizer.state_dict()["state"].values() for value in state.values()]
        digests.append((weights_digest(network), [state.tolist() for state in states]))
    assert digests[0] == digests[1]


def test_the_lean_step_is_taken_once_every_weight_has_a_state() -> None:
    network = mlp()
    optimizer = made(network, "adamw")
    assert lean_step(optimizer) == optimizer.step
    network(torch.randn(8, 13)).sum().backward()
    optimizer.step()
    assert lean_step(optimizer) != optimizer.step
    assert lean_step(made(network, "sgd")).__name__ == "step"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_weight_whose_first_gradient_comes_late_is_trained(name: str) -> None:
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    optimizer = made(network, name)
    for step in range(3):
        used = network if step else network[:1]
        sum(layer(torch.ones(1, 2)).sum() for layer in used).backward()  # type: ignore[union-attr]
        before = network[1].weight.clone()
        optimizer.step()
        assert bool((network[1].weight != before).any()) is bool(step)
