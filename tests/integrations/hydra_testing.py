"""A small project that is configured by Hydra."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from mltool.core.config.load import Resolved
from mltool.core.errors import ConfigError
from mltool.stages.train.config import TrainJob
from mltool.verbs.jobs import resolved
from user_project import project, said, write

__all__ = ["project", "said", "write"]

CONFIG = "hydra.config=conf/config.yaml"
FILES = {
    "conf/config.yaml": """
        defaults:
          - _self_
          - model: small
          - optimizer: adam
        epochs: 7
        seed: 3
        width: 16
        output: ${hydra:runtime.cwd}/out
        """,
    "conf/model/small.yaml": """
        _target_: src.net.Net
        hidden: ${width}
        dropout: 0.1
        """,
    "conf/model/wide.yaml": """
        _target_: src.net.Wide
        channels: [8, 16]
        """,
    "conf/optimizer/adam.yaml": """
        _target_: torch.optim.Adam
        lr: 1e-3
        """,
    "conf/optimizer/sgd.yaml": """
        _target_: torch.optim.SGD
        lr: 0.1
        weight_decay: 5e-4
        """,
}


def put(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


@pytest.fixture(autouse=True)
def tree(project: Path) -> Path:
    for name, text in FILES.items():
        put(name, text)
    return project


def train(*overrides: str, **values: Any) -> Resolved[TrainJob]:
    return resolved("train", overrides, values)


def problem(*overrides: str) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        train(CONFIG, *overrides)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.message, caught.value.hint
