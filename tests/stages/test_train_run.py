from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.config.load import load_config
from mltool.core.errors import MltoolError
from mltool.modeling.config import TrainConfig
from mltool.modeling.training import checkpoint
from mltool.stages.train.config import TrainJob
from mltool.stages.train.run import Run, finished_run, new_run, run_key, unfinished_run

DATA = "d" * 64


def key(data: str = DATA, name: str | None = None, **train: Any) -> str:
    return run_key(TrainJob(name=name, train=TrainConfig(epochs=3, lr=0.1, **train)), data)


KEY = key()


def stopped(store: Store) -> Run:
    run = new_run(store, KEY)
    (run.folder / checkpoint.FILE).write_bytes(b"weights")
    with run.held():  # as by the process that stopped
        return run


def model(store: Store) -> Artifact:
    with store.draft(ArtifactKind.model) as draft:
        draft.path("weights.safetensors").write_bytes(b"w")
        return draft.commit("m", config={})


def test_a_stopped_run_is_found_by_its_config_and_data(store: Store) -> None:
    run = stopped(store)
    found = unfinished_run(store, KEY)
    assert found is not None
    assert (found.id, found.key, found.artifact) == (run.id, run.key, None)
    assert unfinished_run(store, key("e" * 64)) is None
    assert unfinished_run(store, key(batch_size=7)) is None
    assert unfinished_run(store, key(name="other")) is None


def test_where_it_logs_to_and_how_often_it_saves_may_change(store: Store) -> None:
    run = stopped(store)
    found = unfinished_run(store, key(wandb_project="p", wandb_mode="offline", checkpoint_every_s=0.0))
    assert found is not None
    assert found.id == run.id


def test_a_run_without_a_checkpoint_has_nothing_to_go_on_from(store: Store) -> None:
    new_run(store, KEY)
    assert unfinished_run(store, KEY) is None


def test_the_newest_of_several_stopped_runs_is_taken(store: Store) -> None:
    for day in ("20240102", "20231231", "20240101"):
        stopped(store).folder.rename(store.runs / f"{day}-000000-ffffff")
    newest = stopped(store)
    found = unfinished_run(store, KEY)
    assert found is not None
    assert found.id == newest.id


def test_a_finished_run_is_complete_while_its_model_exists(store: Store) -> None:
    run, artifact = stopped(store), model(store)
    run.finish(artifact.digest)
    assert not (run.folder / checkpoint.FILE).exists()
    assert unfinished_run(store, KEY) is None
    found = finished_run(store, KEY)
    assert found is not None
    assert found.artifact == artifact.digest
    assert finished_run(store, key(seed=4)) is None
    store.remove(artifact)
    assert finished_run(store, KEY) is None


def test_a_decision_is_taken_once_and_outlives_the_process(store: Store) -> None:
    run = stopped(store)
    assert run.remembered("bf16", lambda: True) is True
    assert run.remembered("bf16", lambda: pytest.fail("decided twice")) is True
    again = unfinished_run(store, KEY)
    assert again is not None
    assert again.remembered("bf16", lambda: pytest.fail("decided twice")) is True


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b'{"key": 1}', b"\xff"])
def test_a_run_that_was_killed_before_its_first_line_is_no_run(store: Store, content: bytes) -> None:
    kept = stopped(store)
    broken = stopped(store)
    (broken.folder / "run.json").write_bytes(content)
    (store.runs / "notes.txt").write_text("somebody's own file")
    found = unfinished_run(store, KEY)
    assert found is not None
    assert found.id == kept.id
    shutil.rmtree(kept.folder)
    assert unfinished_run(store, KEY) is None


def test_a_run_is_plain_json_that_is_never_half_written(store: Store) -> None:
    run = new_run(store, KEY)
    run.remembered("bf16", lambda: False)
    assert json.loads((run.folder / "run.json").read_text()) == {
        "key": run.key,
        "artifact": None,
        "memory": {"bf16": False},
    }
    assert sorted(path.name for path in run.folder.iterdir()) == [".lock", "run.json"]


def test_a_store_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the store would be")
    with pytest.raises(MltoolError, match="a file stands where a folder is needed"):
        new_run(Store(tmp_path / "file"), KEY)


def test_a_run_that_somebody_is_working_on_is_not_resumed(store: Store) -> None:
    run = stopped(store)
    again = unfinished_run(store, KEY)
    assert again is not None
    with again.held(), pytest.raises(MltoolError, match=f"another process is training run `{run.id}`"):
        unfinished_run(store, KEY)
    assert unfinished_run(store, KEY) is not None


def test_other_code_of_the_user_is_another_run() -> None:
    job = TrainJob(train=TrainConfig(epochs=3))
    keys = [run_key(job, DATA, code) for code in ({}, {"model.target": "a" * 64}, {"model.target": "b" * 64})]
    assert len(set(keys)) == 3


def test_another_value_behind_a_reference_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for lr in ("0.001", "0.002"):
        monkeypatch.setenv("MLTEST_LR", lr)
        keys.append(run_key(load_config(TrainJob, "train", ["lr=${oc.env:MLTEST_LR}"]), DATA))
    assert keys[0] != keys[1]
