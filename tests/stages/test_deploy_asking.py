"""A deployment is asked for its model's own samples, and held against the answers that are recorded beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import CheckStatus
from mltool.artifacts.store import Store
from mltool.runtimes.runner import load
from mltool.stages.deploy.asking import answers_as_recorded, compared_answers, infer, is_ready
from serving_testing import serving
from small_models import linear_model, picture_model, table_model

pytestmark = pytest.mark.xdist_group("asking")


@pytest.mark.parametrize("make", [linear_model, table_model, picture_model])
def test_a_server_answers_as_its_model_did(store: Store, make: Callable[[Store], Artifact]) -> None:
    model = make(store)
    with serving(model.path, "served_model_name=mine") as server:
        assert is_ready(server.url)
        check = answers_as_recorded(server.url, "mine", model)
    assert check.status is CheckStatus.passed, check
    assert check.value == pytest.approx(0.0, abs=1e-6)
    assert not is_ready(server.url)
    gone = answers_as_recorded(server.url, "mine", model)
    assert gone.status is CheckStatus.failed
    assert "refused" in gone.detail


def test_another_model_behind_the_same_name_is_noticed(store: Store) -> None:
    wanted, other = linear_model(store, "wanted"), linear_model(store, "other", seed=7)
    with serving(other.path, "served_model_name=mine") as server:
        check = answers_as_recorded(server.url, "mine", wanted)
        assert check.status is CheckStatus.failed
        assert check.value is not None
        assert check.value > 0.1
        assert check.limit == pytest.approx(1e-4)
        unknown = answers_as_recorded(server.url, "nobody", wanted)
        assert unknown.detail.startswith("it answers 404: ")
        picture = answers_as_recorded(server.url, "mine", picture_model(store))
        assert picture.detail.startswith("it answers 400: ")


@pytest.mark.parametrize("status", [None, 429, 500, 503])
def test_a_server_that_cannot_answer_says_nothing_of_its_model(store: Store, status: int | None) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if status is not None:  # else the connection ends without an answer
                self.send_error(status)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            with pytest.raises(OSError, match=f"it answers {status}" if status else "cut off|reset|without response"):
                compared_answers(f"http://127.0.0.1:{server.server_port}", "mine", linear_model(store))
        finally:
            server.shutdown()


def test_every_bit_goes_over_the_wire_and_comes_back(store: Store) -> None:
    model = table_model(store)
    inputs = {"numbers": np.array([[np.nan, 1e-38], [3.4e38, -0.0]], np.float32), "categories": np.array([[0], [2]])}
    with serving(model.path, "served_model_name=mine") as server:
        outputs = infer(server.url, "mine", inputs)
    expected = load(model).run(inputs)
    assert outputs.keys() == expected.keys()
    for name, array in expected.items():
        assert outputs[name].dtype == array.dtype
        assert np.array_equal(outputs[name], array, equal_nan=True)


class Mask(nn.Module):
    """Answers whole numbers of several types, whose values either stay or do not."""

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"mask": x.argmax(1), "high": x > self.threshold, "level": (x * 10).to(torch.int32)}


def test_whole_numbers_must_be_the_same(store: Store) -> None:
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    model = mltool.save(Mask(), x, name="mask")
    with serving(model.path) as server:
        name = model.digest[:12]
        assert answers_as_recorded(server.url, name, model).status is CheckStatus.passed
        outputs = infer(server.url, name, {"x": np.zeros((2, 5), np.float32)})
        assert {key: array.dtype.kind for key, array in outputs.items()} == {"mask": "i", "high": "b", "level": "i"}
        check = answers_as_recorded(server.url, name, mltool.save(Mask(0.5), x, name="other"))
    assert check.status is CheckStatus.failed
    assert check.value == pytest.approx(((x[:8] > 0) & (x[:8] <= 0.5)).float().mean().item())
    assert check.limit == 0


def test_a_quantized_model_may_differ_as_much_as_it_did_when_it_was_checked() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)]
    module, x = nn.Sequential(*layers).eval(), torch.randn(256, 8)
    mltool.save(module, x, module(x)[:, 0].detach(), name="wide")
    twin = mltool.quantize("wide", "max_metric_drop=1").artifact
    measured = next(check for check in twin.checks if check.id == "relative_error")
    assert measured.value is not None
    assert measured.value > 1e-3
    with serving(twin.path, "served_model_name=wide") as server:
        check = answers_as_recorded(server.url, "wide", twin)
    assert check.status is CheckStatus.passed
    assert check.limit == max(measured.value, measured.limit or 0)
