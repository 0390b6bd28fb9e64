from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mltool.core.errors import ArtifactError
from mltool.runtimes.samples import Samples


def test_samples_come_back_as_they_were_with_and_without_labels(tmp_path: Path) -> None:
    inputs = {"left": np.ones((3, 2), np.float32), "file": np.zeros((3, 1), np.int64)}  # `file` is an argument of savez
    outputs = {"output": np.full((3, 4), np.nan, np.float32)}
    for target in (None, np.array([0, 1, 2])):
        Samples(inputs, outputs, target).save(tmp_path / "samples.npz")
        loaded = Samples.load(tmp_path / "samples.npz")
        assert list(loaded.inputs) == ["left", "file"]
        assert loaded.inputs["file"].dtype == np.int64
        assert np.isnan(loaded.outputs["output"]).all()
        assert (loaded.target is None) == (target is None)
        assert len(loaded) == 3


def test_the_same_samples_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        Samples({"x": np.ones(3)}, {"y": np.ones(3)}).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"no samples at all"])
def test_a_damaged_file_is_an_artifact_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"samples\.npz` cannot be read"):
        Samples.load(path)


def test_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", **{"input.x": np.array([{}], object)})
    with pytest.raises(ArtifactError, match="cannot be read"):
        Samples.load(tmp_path / "samples.npz")
