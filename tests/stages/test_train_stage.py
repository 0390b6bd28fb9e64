from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import mltool
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store, open_store
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from user_project import Write

STOPPING = """
    import os
    import signal

    import torch
    from torch import nn

    SEEN = []

    class Net(nn.Module):
        \"\"\"Presses Ctrl-C in the batch that the environment names.\"\"\"

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        def forward(self, image):
            if self.training:
                SEEN.append(torch.is_autocast_enabled("cpu"))
                if len(SEEN) == int(os.environ.get("STOP_AT", 0)):
                    signal.raise_signal(signal.SIGINT)
            return self.layers(image)
"""


def stop(monkeypatch: pytest.MonkeyPatch, at_batch: int, *overrides: str, resume: bool = False) -> Any:
    """Train the network of `stopping.py` until Ctrl-C, and return the module."""
    monkeypatch.setenv("STOP_AT", str(at_batch))
    if "stopping" in sys.modules:
        sys.modules["stopping"].SEEN.clear()
    with pytest.raises(KeyboardInterrupt):
        mltool.train("model.target=stopping:Net", *overrides, resume=resume)
    return sys.modules["stopping"]


def run_folder(store: Store) -> Path:
    (folder,) = store.runs.iterdir()
    return folder


def models(store: Store) -> list[Path]:
    return [path for path, _ in store.manifests(ArtifactKind.model)]


def test_a_network_of_ones_own_with_tied_weights_becomes_a_model(write: Write, store: Store, said: list[str]) -> None:
    """Asked to resume where nothing was stopped, it says so and starts."""
    write(
        "tied.py",
        """
        from torch import nn

        class Net(nn.Module):
            def __init__(self, width=64):
                super().__init__()
                self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
                self.second.weight = self.first.weight
                self.last = nn.Linear(width, 10)

            def forward(self, image):
                return self.last(self.second(self.first(image.flatten(1)).relu()).relu())
        """,
    )
    model = mltool.train("model.target=tied:Net", "epochs=2", "name=tied", resume=True)
    assert "there is no unfinished run with this config, data and code; starting a new one" in said
    assert model.ref == "tied@1"
    assert {check.id: check.status for check in model.checks}["relative_error"] == "passed"

    from safetensors.numpy import load_file

    weights = load_file(model.path / "weights.safetensors")
    assert (weights["network.first.weight"] == weights["network.second.weight"]).all()
    assert model.manifest.weights_digest == model.manifest.files["weights.safetensors"].sha256
    run = run_folder(store)
    assert model.manifest.facts["run"] == run.name
    assert json.loads((run / "run.json").read_text())["artifact"] == model.digest
    assert not (run / "checkpoint.safetensors").exists()
    lines = (run / "history.jsonl").read_text().splitlines()
    assert (model.path / "history.jsonl").read_text().splitlines() == lines
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]

    said.clear()
    again = mltool.train("model.target=tied:Net", "epochs=2", "name=tied", resume=True)
    assert said[-1] == f"already complete: `{model.label}`"
    assert (again.digest, again.ref, len(models(store))) == (model.digest, "tied@1", 1)


def test_a_model_is_made_anew_after_a_module_that_its_network_imports_has_changed(
    write: Write, store: Store, said: list[str]
) -> None:
    write(
        "helped.py",
        """
        from torch import nn
        from helped_parts.width import WIDTH

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))

            def forward(self, image):
                return self.layers(image)
        """,
    )
    digests = []
    for width in (8, 16, 16):
        write("helped_parts/width.py", f"WIDTH = {width}  # {'x' * width}")
        for name in [name for name in sys.modules if name.startswith("helped")]:
            del sys.modules[name]  # as in a new process
        digests.append(mltool.train("model.target=helped:Net", "epochs=1", "name=helped", resume=True).digest)
    assert digests[0] != digests[1] == digests[2]
    assert said[-1] == "already complete: `helped@2`"


def test_a_damaged_checkpoint_is_refused_and_kept(
    write: Write, store: Store, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    write("stopping.py", STOPPING)
    stop(monkeypatch, 5, "epochs=3")
    assert said[-1] == "stopped; `mltool train --resume` with the same config continues here"
    assert models(store) == []
    path = run_folder(store) / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="cannot be used") as caught:
        mltool.train("model.target=stopping:Net", "epochs=3", resume=True)
    assert caught.value.exit_code == 3
    assert f"resuming run {run_folder(store).name}" in said
    assert path.exists()


def test_a_precision_that_was_measured_once_is_kept_for_the_resumed_run(
    write: Write, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("stopping.py", STOPPING)
    module = stop(monkeypatch, 40, "epochs=9", "precision=auto")  # the trial of both takes 16 batches
    run = run_folder(store) / "run.json"
    decided = json.loads(run.read_text())
    assert decided["memory"]["bf16"] in (True, False)
    assert module.SEEN[-1] is decided["memory"]["bf16"]
    # What another machine may have measured: the resumed run does not ask again.
    flipped = not decided["memory"]["bf16"]
    run.write_text(json.dumps({**decided, "memory": {"bf16": flipped}}))
    module = stop(monkeypatch, 3, "epochs=9", "precision=auto", resume=True)
    assert [flipped] * 2 == module.SEEN[1:]  # before the first batch, outputs are compared in both modes


def test_training_gives_the_threads_back(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    write("stopping.py", STOPPING)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        stop(monkeypatch, 2, "threads=1")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_loss_that_is_no_number_leaves_no_model(write: Write, store: Store) -> None:
    write(
        "poisoned.py",
        """
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers, self.count = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 0

            def forward(self, image):
                self.count += self.training
                return self.layers(image) / (0.0 if self.count == 8 else 1.0)  # one before the first batch
        """,
    )
    with pytest.raises(MltoolError, match=r"the loss became (nan|inf) in epoch 1 at batch 7; no checkpoint was due"):
        mltool.train("model.target=poisoned:Net", "epochs=3")
    assert models(store) == []
    assert not list(store.staging.iterdir())
    assert store.refs.names(ArtifactKind.model) == []


def test_a_batch_larger_than_the_data_is_refused_and_leaves_no_model(project: Path, store: Store) -> None:
    with pytest.raises(ConfigError, match=r"`train.batch_size=5000` is larger than the training split, which has 1168"):
        mltool.train("batch_size=5000")
    assert models(store) == []


def test_the_dataset_of_a_model_knows_its_commit(project: Path, store: Store) -> None:
    from mltool.datasets.config import DataConfig
    from mltool.modeling.sources.open import open_dataset

    rows = "\n".join(f"{row},{row % 5},{'cat' if row % 2 else 'dog'}" for row in range(60))
    (project / "pets.csv").write_text(f"weight,age,species\n{rows}\n")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.email=a@example.org", "-c", "user.name=A", "commit", "-q", "-m", "data"],
    ):
        subprocess.run(["git", *arguments], cwd=project, check=True)
    (project / "pets.csv.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: pets.csv\n")
    facts = open_dataset(DataConfig(source="pets.csv"), store).artifact.manifest.facts
    assert len(facts["git_commit"]) == 40
    assert facts["git_dirty"] is False
    assert (facts["dvc_file"], facts["dvc_md5"]) == ("pets.csv.dvc", "0123456789abcdef0123456789abcdef")


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of POSIX")
def test_a_disk_that_is_full_while_training_is_one_clear_line(project: Path, store: Store) -> None:
    # The columns of the digits fit into 150 kB a file; the first checkpoint does not.
    code = textwrap.dedent(
        """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        from mltool.cli.app import run
        sys.exit(run(["train", "epochs=2", "batch_size=64"]))
        """
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # it writes too
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert "a file grew over the limit of the system" in done.stderr
    assert "Traceback" not in done.stderr
    assert "failed unexpectedly" not in done.stderr
    assert models(store) == []
    assert [path.name for path in run_folder(store).iterdir() if "checkpoint" in path.name] == []


@pytest.mark.usefixtures("project")
def test_the_same_training_twice_is_one_model_whatever_time_it_took() -> None:
    first, again = (mltool.train("epochs=1", "name=twice") for _ in range(2))
    histories = [(run / "history.jsonl").read_text() for run in sorted(open_store().runs.iterdir())]
    assert histories[0] != histories[1]  # the seconds differ
    assert (first.digest, first.ref) == (again.digest, again.ref)


def test_how_a_path_is_typed_and_where_a_run_logs_to_make_no_other_model(write: Write, project: Path) -> None:
    write("data/table.csv", "a,b,y\n" + "".join(f"{i % 7},{i * 37 % 11},{'pq'[i % 2]}\n" for i in range(80)))
    usual = ("model.args.hidden=4", "epochs=1", "batch_size=16", "name=m")
    made = mltool.train("data.source=data/table.csv", *usual)
    for source in ("./data/table.csv", f"{project}/data/../data/table.csv"):
        logged = ("checkpoint_every_s=1", "data.max_damaged=0.5", "wandb_mode=offline")
        again = mltool.train(f"data.source={source}", *usual, *logged)
        assert (again.digest, again.ref) == (made.digest, "m@1")
    assert made.config["data"]["source"] == "data/table.csv"
    assert not {"wandb_project", "wandb_mode", "checkpoint_every_s"} & made.config["train"].keys()


def test_a_run_is_resumed_however_the_path_of_its_data_is_typed(write: Write, project: Path, said: list[str]) -> None:
    write("table.csv", "a,b,y\n" + "".join(f"{i % 7},{i * 37 % 11},{'pq'[i % 2]}\n" for i in range(80)))
    made = mltool.train("data.source=table.csv", "epochs=1", "batch_size=16")
    again = mltool.train(f"data.source={project}/table.csv", "epochs=1", "batch_size=16", resume=True)
    assert again.digest == made.digest
    assert "already complete: " in said[-1]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.args.width=3", "`nets:Net` cannot be called with {'width': 3}"),
        ("model.target=nets:Nte", "`nets` has no `Nte`"),
        ("model.target=nets:NUMBER", "is a `int`, but a class or a function is needed"),
    ],
)
def test_a_network_that_cannot_be_made_is_met_before_the_data_is_decoded(
    override: str, message: str, write: Write, project: Path
) -> None:
    write(
        "nets.py",
        "from torch import nn\n\nNUMBER = 3\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        pass\n",
    )
    write("table.csv", "not a table at all")
    with pytest.raises(ConfigError) as caught:
        mltool.train("data.source=table.csv", "model.target=nets:Net", override)
    assert message in caught.value.message
    assert not (project / ".mltool").exists()
