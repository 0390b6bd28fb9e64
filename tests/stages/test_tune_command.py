"""What people type, and several processes at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tune_testing import LINE, points, tune

import mltool
from mltool.cli.app import run
from mltool.core.errors import ConfigError
from user_project import Write, project, said, write

__all__ = ["points", "project", "said", "write"]
pytestmark = pytest.mark.xdist_group("tune")


# The command line ---------------------------------------------------------------------------------------------------


def test_the_command_shows_trials_and_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "trials=3"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("demo-1  study, 3 trials: 3 complete")
    assert "\nconfig  .mltool/studies/" in out
    assert "\nnext    mltool train name=demo data.source=points.npz epochs=2 threads=1 lr=" in out
    assert "your config had" in out or "your config as it stands" in out
    assert "searched: lr 0.001..0.1:log" in err


def test_json_holds_the_best_and_every_trial(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "trials=3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["value"] == max(trial["value"] for trial in found["trials"])
    assert found["best"]["config"]["train"]["lr"] == found["trials"][found["best"]["trial"]]["config"]["lr"]
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2]
    assert Path(found["path"]).is_file()
    assert Path(found["report"]).is_file()


def test_quiet_is_the_path_of_the_best_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "trials=1", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert Path(out.strip()).name == "best.yaml"


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LINE, "--dry-run"]) == 0
    assert "lr 0.001..0.1:log" in capsys.readouterr().out
    assert not (tmp_path / ".mltool").exists()


@pytest.mark.parametrize("token", ["trials=0", "timeout_s=0", "pruner=hyperband", "space=5", "epochs=3"])
def test_a_wrong_key_is_met_before_anything_is_read(token: str) -> None:
    assert run(["tune", "data.source=nowhere.npz", token]) == 2


def test_no_trial_begins_after_the_time_that_was_given() -> None:
    assert run([*LINE, "trials=3", "timeout_s=1e-9"]) == 1
    found = mltool.tune(*LINE[1:], "trials=1000", "timeout_s=1.5")
    assert 1 <= len(found.trials) < 1000


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_keeps_the_trials_that_ended_and_says_how_to_go_on(tmp_path: Path) -> None:
    line = [*LINE, "trials=500", "pruner=none"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mltool", *line], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    journal = tmp_path / ".mltool" / "studies" / "demo-1" / "journal.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b'"state":1') > 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "error: interrupted" in err
    assert f"continue with `mltool {' '.join(line)} --resume`" in err
    (best,) = tmp_path.glob(".mltool/studies/*/best.yaml")
    assert "tuned" in best.read_text()
    before = len(json.loads(_resumed(line, "trials=1").stdout)["trials"])
    assert before >= 2
    after = json.loads(_resumed(line, f"trials={before + 2}").stdout)
    assert len(after["trials"]) == before + 2
    assert all(trial["outcome"] == "complete" for trial in after["trials"])


def _resumed(line: list[str], trials: str) -> subprocess.CompletedProcess[str]:
    tokens = [token for token in line if not token.startswith("trials=")]
    return subprocess.run(
        [sys.executable, "-m", "mltool", *tokens, trials, "--resume", "--json"],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip


def test_a_search_of_a_lightning_module_trains_it_by_lightning_and_stops_bad_trials_early(write: Write) -> None:
    write(
        "lit.py",
        """
        import lightning
        import torch
        from torch import nn

        class Lit(lightning.LightningModule):
            def __init__(self, lr: float = 0.01):
                super().__init__()
                self.lr, self.layer = lr, nn.Linear(4, 2)

            def forward(self, x):
                return self.layer(x)

            def training_step(self, batch, batch_idx):
                return nn.functional.cross_entropy(self(batch[0]), batch[1])

            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters(), lr=self.lr)
        """,
    )
    values: dict[str, Any] = {"model": {"target": "lit:Lit"}, "metric": "loss", "train": {"epochs": 6}}
    space = {"model.args.lr": [0.03, 0.02, 0.04, 0.025, 0.035, 1e-6, 2e-6]}
    found = tune(**values, trials=7, space=space)
    outcomes = {trial.point["model.args.lr"]: trial.outcome for trial in found.trials}
    assert {outcomes[1e-6], outcomes[2e-6]} == {"pruned"}
    assert all(len(trial.curve) < 6 for trial in found.trials if trial.outcome == "pruned")
    assert found.best.point["model.args.lr"] >= 0.02
    with pytest.raises(ConfigError, match="`Lit` decides about its own training, so the default space has no effect"):
        tune(**values)
    with pytest.raises(ConfigError, match=r"`train\.lr` has no effect on `Lit`"):
        tune(**values, space={"lr": "0.1..0.2"})


# Several processes --------------------------------------------------------------------------------------------------


def test_several_processes_share_a_study_and_no_trial_is_done_twice() -> None:
    found = tune(trials=9, processes=2, pruner="none", space={"lr": "1e-3..0.3:log", "batch_size": [16, 32]})
    assert [trial.number for trial in found.trials] == [*range(9)]
    assert {trial.outcome for trial in found.trials} == {"complete"}
    assert found.before is not None or found.trials[0].number == 0
    alone = tune(trials=1, space={"lr": "1e-3..0.3:log", "batch_size": [16, 32]})
    assert alone.trials[0].value == found.trials[0].value


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed by a signal")
def test_a_process_that_dies_loses_its_trial_and_no_other(write: Write) -> None:
    write(
        "net.py",
        """
        import os, signal
        from torch import nn

        class Net(nn.Module):
            def __init__(self, width: int = 4):
                super().__init__()
                self.width, self.layer = width, nn.Linear(4, 2)

            def forward(self, x):
                if self.width == 6 and self.training:
                    os.kill(os.getpid(), signal.SIGKILL)
                return self.layer(x)
        """,
    )
    found = tune(trials=6, processes=2, space={"model.args.width": "4..9"}, model={"target": "net:Net"})
    outcomes = {trial.point["model.args.width"]: trial.outcome for trial in found.trials}
    assert outcomes == {4: "complete", 5: "complete", 6: "failed", 7: "complete", 8: "complete", 9: "complete"}
    assert [trial.reason for trial in found.trials if trial.reason] == ["its process was stopped by SIGKILL"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
@pytest.mark.parametrize(("sent", "to_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)])
def test_ctrl_c_or_sigterm_lets_all_processes_end_their_step(
    tmp_path: Path, write: Write, sent: signal.Signals, to_group: bool
) -> None:
    write(
        "net.py",
        """
        import atexit, os
        from pathlib import Path
        from torch import nn

        atexit.register(lambda: Path(f"ended-{os.getpid()}").touch())  # which no killed process does

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(4, 2)

            def forward(self, x):
                return self.layer(x)
        """,
    )
    line = [*LINE, "model.target=net:Net", "trials=5000", "pruner=none", "processes=2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mltool", *line], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    journal = tmp_path / ".mltool" / "studies" / "demo-1" / "journal.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b'"state":1') > 2):
        time.sleep(0.1)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert process.pid not in {os.getsid(pid) for pid in children}  # Ctrl-C in a terminal is for the command alone
    os.killpg(process.pid, sent) if to_group else process.send_signal(sent)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "error: interrupted" in err) == (130, True), err
    assert len(children) == 2
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    (best,) = tmp_path.glob(".mltool/studies/*/best.yaml")
    assert "tuned" in best.read_text()
    assert {f"ended-{pid}" for pid in children} <= {path.name for path in tmp_path.glob("ended-*")}
