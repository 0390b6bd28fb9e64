"""The second half of the road: a project with Hydra and DVC is searched, trained, watched, shared and audited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands_testing import clean_environment, mltool, post, running, sources

ROOT = Path(__file__).parents[2]
MOVED_BY_DVC = frozenset({"cache", "tmp"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of somebody else with a Hydra tree, whose data is a folder that DVC tracks; nothing of it is ours."""
    folder = tmp_path_factory.mktemp("second") / "digits"
    left_out = shutil.ignore_patterns(".mltool", "__pycache__", "README.md")
    shutil.copytree(ROOT / "examples" / "hydra-project", folder, ignore=left_out)
    subprocess.run([sys.executable, "make_data.py"], cwd=folder, check=True, capture_output=True)
    (folder / "data").mkdir()
    _mixed(folder / "digits.npz", folder / "data" / "digits.npz")
    config = folder / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("data_path: digits.npz", "data_path: data/digits.npz"))
    remote = folder.parent / "remote"
    for command in (["init", "--no-scm", "-q"], ["remote", "add", "-d", "own", str(remote)], ["add", "-q", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, check=True, env=clean_environment())
    return folder


def _mixed(source: Path, target: Path) -> None:
    """The same pictures with their writers mixed: those of the test are others, which is drift already."""
    with np.load(source) as given:
        parts = dict(given)
    order = np.random.default_rng(0).permutation(sum(len(parts[f"{split}_labels"]) for split in ("train", "test")))
    for what in ("images", "labels"):
        whole = np.concatenate([parts[f"train_{what}"], parts[f"test_{what}"]])[order]
        parts[f"train_{what}"], parts[f"test_{what}"] = np.split(whole, [len(parts[f"train_{what}"])])
    np.savez(target, **parts)
    source.unlink()


def npy(array_NCHW: np.ndarray, path: Path) -> bytes:
    np.save(path, array_NCHW.astype(np.float32))
    return path.read_bytes()


def blurred(images_NCHW: np.ndarray) -> np.ndarray:
    padded = np.pad(images_NCHW, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sum(padded[:, :, y : y + 8, x : x + 8] for y in range(3) for x in range(3)) / 9


@pytest.mark.timeout(900)
def test_from_a_search_to_the_cloud_and_back(project: Path, tmp_path: Path) -> None:
    before = sources(project, MOVED_BY_DVC)

    found = mltool(project, "tune", "trials=3", "train.epochs=2", "space.lr=1e-3..1e-1:log")
    assert len(found["trials"]) == 3
    assert found["best"]["value"] == max(trial["value"] for trial in found["trials"] if trial["value"] is not None)

    first = mltool(project, "train", "processes=2", "name=digits")
    assert (first["ref"], first["facts"]["processes"]) == ("digits@1", 2)
    assert first["metrics"]["accuracy"] > 0.85
    second = mltool(project, "train", "hydra.overrides=model=wide", "name=digits")
    assert second["ref"] == "digits@2"

    ladder = mltool(project, "monitor", "robustness", "digits@2", "corruptions=gaussian_blur", "record=all")
    blur = [rung for rung in ladder["rungs"] if rung["corruption"] == "gaussian_blur"]
    worst = max(blur, key=lambda rung: rung["severity"])
    assert worst["lost"] > 0.1
    assert worst["noticed_after"] is not None

    with np.load(project / "data" / "digits.npz") as data:
        images_NCHW = data["test_images"]
    deployed = mltool(project, "deploy", "local", "digits@1", "port=0", "record=all")
    try:
        mltool(project, "deploy", "local", "digits@2")
        post(deployed["url"], npy(images_NCHW[:200], tmp_path / "usual.npy"), "application/x-npy")
        quiet = mltool(project, "monitor", "drift", "deployment=digits")
        assert not quiet["alarm"]
        post(deployed["url"], npy(blurred(images_NCHW[:200]), tmp_path / "blurred.npy"), "application/x-npy")
        alarmed = mltool(project, "monitor", "drift", "deployment=digits", "last=1", code=4)
        assert alarmed["alarm"]
        mltool(project, "deploy", "rollback")
        assert mltool(project, "deploy", "status")["version"] == 1
    finally:
        mltool(project, "deploy", "stop")
    page = Path(mltool(project, "monitor", "report", "digits@2")["page"])
    assert "gaussian blur" in (project / page).read_text(encoding="utf-8").replace("_", " ")

    _share(project)
    _deploy_to_the_cloud(project)

    items = {item["id"]: item for item in mltool(project, "checklist")["items"]}
    done = {name for name in ("data-version", "model-train", "sweep", "dist-train") if items[name]["verdict"] == "done"}
    assert done == {"data-version", "model-train", "sweep", "dist-train"}, {name: items[name] for name in items}
    assert sources(project, MOVED_BY_DVC) == before


def _share(project: Path) -> None:
    """Push all data, lose it, and get it back."""
    mltool(project, "data", "push")
    data = (project / "data" / "digits.npz").read_bytes()
    datasets = [row["ref"] for row in mltool(project, "data", "list")["datasets"]]
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc" / "cache")
    mltool(project, "data", "pull")
    assert (project / "data" / "digits.npz").read_bytes() == data
    assert [row["ref"] for row in mltool(project, "data", "list")["datasets"]] == datasets


def _deploy_to_the_cloud(project: Path) -> None:
    """Two versions on Cloud Run's stand-in, and back to the first."""
    body = npy(np.zeros((1, 1, 8, 8)), project.parent / "image.npy")
    with running(project, "gcp", "emulate", "engine=process") as stands_in:
        cloud = {"MLTOOL_GCP__EMULATOR": stands_in["grpc"], "STORAGE_EMULATOR_HOST": stands_in["storage"]}
        keys = ("project=course", "region=europe-west1", "service=cloud", "public=true")
        first = mltool(project, "deploy", "gcp", "digits@1", *keys, **cloud)
        assert post(first["url"], body, "application/x-npy")["model"] == "digits@1"
        second = mltool(project, "deploy", "gcp", "digits@2", "service=cloud", **cloud)
        assert post(second["url"], body, "application/x-npy")["model"] == "digits@2"
        assert first["image_digest"] != second["image_digest"]
        mltool(project, "deploy", "rollback", "cloud", **cloud)
        assert post(first["url"], body, "application/x-npy")["model"] == "digits@1"
        status = mltool(project, "deploy", "status", "cloud", **cloud)
        assert (status["target"], status["state"]) == ("gcp", "answers")
