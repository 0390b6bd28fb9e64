"""The same training by one process, by two, and by three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fit_testing import plain, without_seconds
from ranks_testing import OWN, SAME, alone, made, result, together
from torch import nn

from mltool.modeling.training.bucket import Bucket
from mltool.modeling.training.ranks import Alone

pytestmark = pytest.mark.xdist_group("ranks")  # they share the runs of several processes

Found = dict[int, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    return {size: together(folder, size) for size in (2, 3)}


def check_close(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(actual["history"]) == len(expected["history"])
    for row, wanted in zip(actual["history"], expected["history"], strict=True):
        assert row.keys() == wanted.keys()
        losses = {name: value for name, value in wanted.items() if name.endswith("loss")}
        assert {name: row[name] for name in losses} == pytest.approx(losses, rel=1e-6)
        assert row["lr"] == wanted["lr"]
    for name, values in expected["weights"].items():
        assert actual["weights"][name] == pytest.approx(values, abs=1e-5), name


@pytest.mark.parametrize("name", SAME)
def test_any_number_of_processes_has_the_losses_of_one(tmp_path: Path, found: Found, name: str) -> None:
    expected = alone(name, tmp_path)
    for ranks in found.values():
        if name in ranks[0]:
            check_close(ranks[0][name], expected)


@pytest.mark.parametrize("name", [*SAME, *OWN, "stopped", "random weights"])
def test_all_ranks_hold_the_same_to_the_last_bit(found: Found, name: str) -> None:
    for ranks in (ranks for ranks in found.values() if name in ranks[0]):
        floats = [{key: v for key, v in rank[name]["weights"].items() if "num_batches" not in key} for rank in ranks]
        assert all(rank == floats[0] for rank in floats)
        assert all(rank[name]["history"] == ranks[0][name]["history"] for rank in ranks)


def test_a_constant_stays_what_it_is(found: Found) -> None:
    expected = torch.full((5,), 0.1).tolist()
    assert all(rank["unused weights"]["weights"]["constant"] == expected for rank in found[2])


def test_batch_norm_and_dropout_learn_as_well(tmp_path: Path, found: Found) -> None:
    expected = alone("batch norm and dropout", tmp_path)["history"]
    history = found[2][0]["batch norm and dropout"]["history"]
    assert history != expected
    assert history[-1]["train_loss"] == pytest.approx(expected[-1]["train_loss"], rel=0.15)


@pytest.mark.parametrize("size", [2, 3])
def test_each_rank_drops_other_units_in_each_batch(found: Found, size: int) -> None:
    dropped = [tuple(units) for rank in found[size] for units in rank["dropped"]]
    assert len(dropped) == 4 * size
    assert len(set(dropped)) == len(dropped)  # of 64 units, two draws agree with a chance of 2**-64


@pytest.mark.parametrize("size", [2, 3])
def test_a_run_is_resumed_by_another_number_of_processes(folder: Path, found: Found, tmp_path: Path, size: int) -> None:
    whole = made(tmp_path, plain(), Alone(), accumulate=2)
    expected = result(whole, whole.run())
    resumed = made(folder / f"for-others-{size}", plain(), Alone(), accumulate=2)
    check_close(result(resumed, without_seconds(resumed.run(resume=True))), expected)


def test_a_bucket_takes_gradients_of_every_layout_and_type() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last), nn.Flatten(), nn.LazyLinear(2))  # type: ignore[call-overload]
    network(torch.ones(1, 2, 4, 4)).sum().backward()
    network.register_parameter("float16", nn.Parameter(torch.ones(2, dtype=torch.float16)))
    expected = {name: weight.grad for name, weight in network.named_parameters()}
    buckets = Bucket.of(network, is_first=True)
    assert {bucket.flat.dtype for bucket in buckets} == {torch.float32, torch.float16}
    for bucket in buckets:
        bucket.fill(1.0, stop=False)
        bucket.flat *= 2  # as by another rank with the same
        assert bucket.spread() is False
    for name, weight in network.named_parameters():
        if expected[name] is None:
            assert weight.grad is None
        else:
            assert weight.grad is not None
            torch.testing.assert_close(weight.grad, 2 * expected[name])
            assert weight.grad.stride() == weight.stride()


def test_one_rank_that_is_asked_to_stop_stops_all() -> None:
    (bucket,) = Bucket.of(plain(), is_first=False)
    bucket.fill(0.5, stop=True)
    assert bucket.spread() is True


def test_running_statistics_become_the_mean_by_shares_and_other_buffers_those_of_the_first() -> None:
    networks = []
    for value in (1.0, 5.0):
        network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        network[1].running_mean.fill_(value)
        network[1].running_var.fill_(10 * value)
        network.register_buffer("own", torch.tensor([value, float("-inf")]))
        networks.append(network)
    first, second = (Bucket.of(network, is_first=network is networks[0])[0] for network in networks)
    first.fill(0.25, stop=False)
    second.fill(0.75, stop=False)
    total = first.flat + second.flat
    for network, bucket in zip(networks, (first, second), strict=True):
        bucket.flat.copy_(total)
        bucket.spread()
        assert network[1].running_mean.tolist() == [4.0] * 3
        assert network[1].running_var.tolist() == [40.0] * 3
        assert network.get_buffer("own").tolist() == [1.0, float("-inf")]
