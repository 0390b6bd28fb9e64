from __future__ import annotations

import contextlib
import importlib
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import mltool
from user_project import project, said, write

__all__ = ["project", "said", "write"]

# A project of somebody else: a plain network that ends in LogSoftmax, its data in a `.pt` file, its trained weights
# in every usual form. Nothing in it knows of mltool.

CORN_MODEL = """
    import torch
    from torch import nn

    class MyAwesomeModel(nn.Module):
        def __init__(self, hidden: int = 16):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 4, 3)
            self.fc1 = nn.Linear(4 * 6 * 6, hidden)
            self.fc2 = nn.Linear(hidden, 10)
            self.dropout = nn.Dropout(0.2)

        def forward(self, x):
            x = torch.relu(self.conv1(x))
            x = self.dropout(torch.relu(self.fc1(x.flatten(1))))
            return torch.log_softmax(self.fc2(x), dim=1)
"""


@dataclass(frozen=True)
class Corn:
    folder: Path
    network: nn.Module
    images: Tensor
    labels: Tensor
    overrides: tuple[str, ...] = ("model.target=corn_src.models.model:MyAwesomeModel", "data.source=data.pt")

    def eager_probabilities(self, images: Tensor) -> np.ndarray:
        with torch.no_grad():
            return self.network.eval()(images).exp().numpy()


@pytest.fixture(scope="session")
def corn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corn]:
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("corn")
    path = folder / "corn_src" / "models" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(CORN_MODEL))
    digits = load_digits()
    images = torch.tensor(digits.images[:700] / 16.0, dtype=torch.float32)[:, None]
    labels = torch.tensor(digits.target[:700])
    data = {"train_images": images[:500], "train_targets": labels[:500]}
    torch.save({**data, "test_images": images[500:], "test_targets": labels[500:]}, folder / "data.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        torch.manual_seed(0)
        network = importlib.import_module("corn_src.models.model").MyAwesomeModel()
        _train_by_hand(network, images[:500], labels[:500])
        _write_weights(network, folder)
        yield Corn(folder, network, images, labels)


def _train_by_hand(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small that a second thread costs more than it brings
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(30):
        for start in range(0, len(images), 50):
            optimizer.zero_grad()
            nn.functional.nll_loss(network(images[start : start + 50]), labels[start : start + 50]).backward()
            optimizer.step()
    torch.set_num_threads(threads)
    network.eval()


def _write_weights(network: nn.Module, folder: Path) -> None:
    state = network.state_dict()
    torch.save(state, folder / "trained.pt")
    checkpoint = {"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 12, "lr": 3e-3}
    torch.save(checkpoint, folder / "lightning.ckpt")
    torch.save(network, folder / "pickled.pt")
    save_file(state, folder / "trained.safetensors")


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.delenv("MLTOOL_HOME", raising=False)
        yield


@pytest.fixture
def in_corn(corn: Corn) -> Iterator[Corn]:
    """The project of somebody else as the current folder."""
    with working_in(corn.folder):
        yield corn


@pytest.fixture(scope="session")
def corn_model(corn: Corn) -> mltool.Model:
    """The trained weights, imported as they are."""
    with working_in(corn.folder):
        return mltool.import_model("trained.pt", *corn.overrides, name="corn")
