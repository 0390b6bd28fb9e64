"""What the tests of records share."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.records.prediction_log import PredictionLog

DIGEST = "0123456789abcdef" * 4
START_S = 1_800_000_000.0


def append(log: PredictionLog, number: int, **other: Any) -> None:
    """Record `number`: it came `number` seconds after `START_S`, and its arrays hold it."""
    record: dict[str, Any] = {
        "request_id": f"request-{number}",
        "time_s": START_S + number,
        "deployment": "shop",
        "model_digest": DIGEST,
        "status": 200,
        "latency_ms": 1.5,
        "inputs": {"numbers": np.full((1, 3), number, np.float32)},
        "outputs": {"label": np.array([number]), "probabilities": np.full((1, 2), 0.5, np.float32)},
    }
    log.append(**(record | other))


def wait_until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for what another thread or process does; the test fails if it never does."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@contextmanager
def warnings_heard() -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Message):
            heard.append(event.text)

    with events.subscribed(hear):
        yield heard


def stored_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM predictions ORDER BY rowid")]


def on_own_disk(folder: Path, code: str, size: str = "1m") -> list[str]:
    """The lines that `code` prints where `folder`, its first argument, is a disk that nobody else sees."""
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    mount = f'mount -t tmpfs -o size={size} tmpfs "$0"; '
    folder.mkdir(exist_ok=True)
    try:
        trial = subprocess.run([*alone, mount, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("`unshare` is not at hand")
    if trial.returncode:
        pytest.skip(f"this system lets nobody mount a disk: {trial.stderr.strip()}")
    command = [*alone, f'{mount} exec "$1" -c "$2" "$0"', str(folder), sys.executable, code]
    helpers = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=helpers | {"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def model_for(store: Store, name: str | None = "digits", number: int = 0) -> Artifact:
    with store.draft(ArtifactKind.model) as draft:
        draft.path("weights.bin").write_bytes(b"\0\1\2\3")
        return draft.commit(name, config={"number": number})
