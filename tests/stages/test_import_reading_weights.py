from __future__ import annotations

import contextlib
import io
import os
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from mltool.core.errors import ConfigError, DataError
from mltool.stages.import_.weights import load_weights, read_weights


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


@pytest.fixture
def trained() -> nn.Sequential:
    torch.manual_seed(1)
    return network()


def wrappings(module: nn.Module) -> dict[str, Any]:
    state = module.state_dict()
    return {
        "plain": state,
        "lightning": {
            "state_dict": {f"model.{key}": value for key, value in state.items()} | {"loss.weight": torch.ones(3)},
            "epoch": 3,
            "hyper_parameters": {"lr": 1e-3},
        },
        "data parallel": {f"module.{key}": value for key, value in state.items()},
        "compiled": {"model": {f"_orig_mod.{key}": value for key, value in state.items()}, "step": torch.tensor(3)},
        "nested": {"checkpoint": 1, "model": {"state_dict": state}},
        "two prefixes": {f"net.module.{key}": value for key, value in state.items()},
    }


@pytest.mark.parametrize("form", list(wrappings(network())))
def test_weights_are_found_in_every_usual_wrapping(form: str, trained: nn.Sequential, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(wrappings(trained)[form], path)
    into = network()
    load_weights(into, read_weights(path), path)
    for key, value in trained.state_dict().items():
        assert torch.equal(into.state_dict()[key], value), key


def test_safetensors_are_read(trained: nn.Sequential, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(trained.state_dict(), path)
    assert read_weights(path).keys() == trained.state_dict().keys()


def test_what_was_taken_off_and_left_out_is_said_once(trained: nn.Sequential, said: list[str]) -> None:
    weights = wrappings(trained)["lightning"]["state_dict"] | {"a.0.weight": torch.ones(1)}
    load_weights(network(), weights, Path("w.ckpt"))
    rest = "left out 2 others (such as a loss or an optimizer's state)"
    assert said == [f"took the prefix `model.` off the weights' names, and {rest}"]


def prefixed(*wholes: tuple[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for prefix, part in wholes for key, value in part.state_dict().items()}


def test_two_prefixes_that_fit_with_different_values_are_not_chosen_between(trained: nn.Sequential) -> None:
    weights = prefixed(("model.", trained), ("ema.", network()))
    with pytest.raises(ConfigError, match=r"two sets of weights that fit the network: `ema\.` and `model\.`") as caught:
        load_weights(network(), weights, Path("w.pt"))
    assert caught.value.hint == "say which, such as `part=model`"


@pytest.mark.parametrize("other", ["equal", "wider"])
def test_equal_values_and_other_shapes_are_no_conflict(other: str, trained: nn.Sequential) -> None:
    beside = {"equal": trained, "wider": nn.Sequential(nn.Linear(5, 8), *network()[1:])}[other]
    into = network()
    load_weights(into, prefixed(("ema.", beside), ("model.", trained)), Path("w.pt"))
    assert torch.equal(into[0].weight, trained[0].weight)


def test_keys_that_do_not_match_are_named_with_the_nearest(trained: nn.Sequential) -> None:
    weights = dict(trained.state_dict())
    weights["0.weights"] = weights.pop("0.weight")
    weights["head.bias"] = torch.zeros(3)
    with pytest.raises(ConfigError) as caught:
        load_weights(network(), weights, Path("old.pt"))
    assert caught.value.message == (
        "the weights in `old.pt` do not fit the network: 1 are missing (`0.weight`, nearest `0.weights`) "
        "and 2 have no place (`0.weights`; `head.bias`)"
    )
    assert "model.target=" in str(caught.value.hint)


def test_a_single_key_that_is_missing_is_enough_to_refuse(trained: nn.Sequential) -> None:
    weights = {key: value for key, value in trained.state_dict().items() if key != "2.bias"}
    with pytest.raises(ConfigError, match=r"do not fit the network: 1 are missing \(`2\.bias`\)"):
        load_weights(network(), weights, Path("w.pt"))


def test_many_keys_are_counted_and_only_some_are_shown() -> None:
    with pytest.raises(ConfigError, match=r"9 are missing \(`0\.weight`; `0\.bias`; .* …\)"):
        load_weights(network(), {"other": torch.ones(1)}, Path("w.pt"))


def test_a_shape_that_differs_is_named_with_both(trained: nn.Sequential) -> None:
    with pytest.raises(ConfigError, match=r"`0\.weight` is \[8, 4\], but the network has \[8, 5\]"):
        load_weights(nn.Sequential(nn.Linear(5, 8), *network()[1:]), trained.state_dict(), Path("w.pt"))


def test_a_failed_load_changes_nothing(trained: nn.Sequential) -> None:
    into = network()
    before = {key: value.clone() for key, value in into.state_dict().items()}
    weights = dict(trained.state_dict()) | {"2.bias": torch.zeros(7)}
    with pytest.raises(ConfigError):
        load_weights(into, weights, Path("w.pt"))
    assert all(torch.equal(into.state_dict()[key], value) for key, value in before.items())


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_that_needs_code_is_refused_and_its_code_does_not_run(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "weights.pt", tmp_path / "was-executed"
    if writer == "torch":
        torch.save({"state_dict": Bomb(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"state_dict": Bomb(trace)}, protocol=2))
    with pytest.raises(DataError, match=r"needs code to be executed while it is read \(`\w+.mkdir`\), so") as caught:
        read_weights(path)
    assert "state_dict()" in str(caught.value.hint)
    assert not trace.exists()
    with contextlib.suppress(RuntimeError):  # the bomb is real
        torch.load(path, weights_only=False)
    assert trace.exists()


def test_a_whole_pickled_module_is_refused(trained: nn.Sequential, tmp_path: Path) -> None:
    torch.save(trained, tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"\(`torch.nn.modules.container.Sequential`\), so it is refused"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.ckpt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04broken", b"\x80\x02."])
def test_garbage_is_one_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=name):
        read_weights(path)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_checkpoint_never_raises_anything_else(seed: int, old_form: bool) -> None:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(3), "b": [1, 2]}, stream, _use_new_zipfile_serialization=not old_form)
    content, random = bytearray(stream.getvalue()), np.random.default_rng(seed)
    for place in random.integers(0, len(content), 4):
        content[place] = random.integers(0, 256)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(DataError):
        path = Path(folder) / "w.pt"
        path.write_bytes(content)
        read_weights(path)


def test_a_truncated_checkpoint_is_one_clear_error(trained: nn.Sequential, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(trained.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="is not a file that torch can read"):
        read_weights(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_weights(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("content", "holds"),
    [
        ([torch.ones(2)], "holds a `list`, but a state dict"),
        ({"epoch": 3, "lr": 0.1}, "holds no weights, only `epoch`, `lr`"),
        ({}, "holds no weights, only nothing"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content: Any, holds: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(DataError, match=holds):
        read_weights(tmp_path / "w.pt")


def checkpoint(trained: nn.Sequential, averaged: nn.Sequential, form: str) -> dict[str, Any]:
    """What a training script saves: two sets of weights, beside the state of the optimizer."""
    rest = {"epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(8, 4)}}, "param_groups": []}}
    if form == "beside":
        return {"model": trained.state_dict(), "ema": averaged.state_dict(), **rest}
    if form == "unnamed":
        return {**trained.state_dict(), "ema": averaged.state_dict(), **rest}
    prefixed = {
        f"{name}.{key}": v for name, m in (("model", trained), ("ema", averaged)) for key, v in m.state_dict().items()
    }
    return {"state_dict": prefixed, **rest}


@pytest.mark.parametrize(
    ("form", "one", "part"),
    [
        ("beside", "`model/` and `ema/`", "ema"),
        ("unnamed", "one without a prefix and `ema/`", "ema"),
        ("lightning", "`state_dict/model.` and `state_dict/ema.`", "state_dict/ema"),
    ],
)
def test_of_two_sets_of_weights_the_user_says_which(
    form: str, one: str, part: str, trained: nn.Sequential, tmp_path: Path
) -> None:
    path, averaged = tmp_path / "w.ckpt", network()
    torch.save(checkpoint(trained, averaged, form), path)
    with pytest.raises(ConfigError, match="two sets of weights that fit the network") as caught:
        load_weights(network(), read_weights(path), path)
    assert set(one.split(" and ")) == set(caught.value.message.rpartition(": ")[2].split(" and "))
    into = network()
    load_weights(into, read_weights(path, part), path)
    assert torch.equal(into[0].weight, averaged[0].weight)


def test_a_part_that_is_not_there_is_named_with_those_that_are(trained: nn.Sequential, tmp_path: Path) -> None:
    torch.save({"model": trained.state_dict()}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="`part=modle` is no part of") as caught:
        read_weights(tmp_path / "w.pt", "modle")
    assert caught.value.hint == "did you mean `model`?"


def test_a_layer_that_the_network_lacks_is_refused_wherever_the_weights_stand(
    trained: nn.Sequential, tmp_path: Path
) -> None:
    torch.save(
        {"model": {**trained.state_dict(), "head.weight": torch.ones(2)}, "step": torch.tensor(3)}, tmp_path / "w.pt"
    )
    with pytest.raises(ConfigError, match=r"1 have no place \(`head\.weight`\)"):
        load_weights(network(), read_weights(tmp_path / "w.pt"), tmp_path / "w.pt")


def test_the_weights_of_a_model_of_ours_are_not_taken_without_their_preprocessing(trained: nn.Sequential) -> None:
    weights = {f"network.{key}": value for key, value in trained.state_dict().items()}
    load_weights(network(), weights, Path("w.safetensors"))
    with pytest.raises(ConfigError, match=r"whose preprocessing \(`preprocess\.0\.mean_C`\) would be lost"):
        load_weights(network(), weights | {"preprocess.0.mean_C": torch.zeros(1)}, Path("w.safetensors"))


def test_a_torchscript_archive_is_refused_in_one_line(
    trained: nn.Sequential, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(trained.eval(), torch.ones(2, 4)), tmp_path / "w.pt")
    with pytest.raises(DataError, match="is a TorchScript archive, which holds code") as caught:
        read_weights(tmp_path / "w.pt")
    assert "state_dict()" in str(caught.value.hint)
    assert not [w for w in recwarn if "torch.jit" in str(w.message) and "load" in str(w.message)]


def test_of_other_dtypes_with_equal_values_the_user_says_which(trained: nn.Sequential) -> None:
    state = trained.state_dict()
    half = {f"half.{key}": value.half() if value.is_floating_point() else value for key, value in state.items()}
    same = {f"same.{key}": value.half().float() if value.is_floating_point() else value for key, value in state.items()}
    with pytest.raises(ConfigError, match="two sets of weights"):
        load_weights(network(), half | same, Path("w.pt"))
