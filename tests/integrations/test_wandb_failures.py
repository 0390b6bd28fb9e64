"""What Weights & Biases does not take, or cannot reach, must not cost a training."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

TRACK = """
    import json
    from pathlib import Path

    from mltool.core import events
    from mltool.integrations import wandb as ours

    said, epochs = [], 0
    ours._INIT_TIMEOUT_S = 2.0
    with events.subscribed(lambda event: said.append([event.level, event.text])):
        with ours.tracking("p", MODE, "run-1", Path.cwd(), {}, resume=False) as on_epoch:
            BEFORE
            for epoch in (1, 2, 3):
                on_epoch({"epoch": epoch, "train_loss": 0.5})
                epochs += 1
    print(json.dumps([epochs, said]))
"""


def tracked(folder: Path, mode: str, before: str = "pass") -> tuple[int, list[list[str]]]:
    """Track three epochs in a process of its own, with a key for a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRACK.replace("MODE", repr(mode)).replace("BEFORE", before))],
        env={**clean, "HOME": str(folder), "WANDB_BASE_URL": url, "WANDB_API_KEY": "0" * 40},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    epochs, said = json.loads(done.stdout.splitlines()[-1])
    return epochs, said


def test_online_with_an_unreachable_server_goes_on_offline(tmp_path: Path) -> None:
    epochs, said = tracked(tmp_path, "online")
    assert epochs == 3
    assert [level for level, _ in said] == ["warning", "info"]
    assert said[0][1].startswith("Weights & Biases cannot be used: ")
    assert said[0][1].endswith("; it runs offline")
    (run,) = tmp_path.glob("wandb/offline-run-*")
    assert said[1][1].endswith(f"`wandb sync {run}`")
    (written,) = run.glob("*.wandb")
    assert b"train_loss" in written.read_bytes()


def test_metrics_that_are_not_taken_are_one_warning(tmp_path: Path) -> None:
    epochs, said = tracked(tmp_path, "offline", "import wandb; wandb.run.finish()")
    assert epochs == 3
    assert [level for level, _ in said] == ["warning", "info"]
    assert said[0][1].startswith("Weights & Biases takes no more metrics: ")


KILL = "import psutil; [child.kill() for child in psutil.Process().children(recursive=True)]"


def test_a_service_that_dies_in_the_middle_costs_no_epoch(tmp_path: Path) -> None:
    epochs, said = tracked(tmp_path, "offline", KILL)
    assert epochs == 3
    assert [text for level, text in said if level == "warning"], "somebody has to hear of it"
