from __future__ import annotations

from collections.abc import Iterator

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from serving_testing import Running, serving
from small_models import linear_model, picture_model, slow_model, table_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Small models by name."""
    store = Store(tmp_path_factory.mktemp("served") / ".mltool")
    return {str(model.name): model for model in (make(store) for make in _MAKERS)}


_MAKERS = (linear_model, table_model, picture_model, slow_model)


def _server(name: str) -> object:
    @pytest.fixture(scope="module", name=name)
    def running(models: dict[str, Artifact]) -> Iterator[Running]:
        with serving(models[name].path, f"served_model_name={name}@1") as server:
            yield server

    return running


# One server a file of tests, for tests that leave it as it is.
linear, table, picture = (_server(name) for name in ("linear", "table", "picture"))
