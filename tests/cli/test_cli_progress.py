from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mltool.cli import output
from mltool.cli.output import Mode
from mltool.cli.progress import SECONDS_BETWEEN_LINES, Talk
from mltool.core import events


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_line_now_and_then_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    output.reset()
    clock = Clock()
    with events.subscribed(Talk(clock)), events.track("decode", 100, "images") as bar:
        for _ in range(100):
            clock.now += SECONDS_BETWEEN_LINES / 40
            bar.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "decode: 100 images in 12 s"
    assert len(lines) == 3
    assert lines[0] == "decode: 40/100 images, 8/s, 7.5 s left"


def test_a_task_that_stopped_early_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output.reset()

    def stop_early() -> None:
        with events.track("train", 10, "epochs") as bar:
            bar.advance(4, "loss 0.3")
            raise ZeroDivisionError

    with events.subscribed(Talk(Clock())), pytest.raises(ZeroDivisionError):
        stop_early()
    assert capsys.readouterr().err == "train: stopped at 4 of 10 epochs in 0.0 s, loss 0.3\n"


def test_a_task_of_unknown_length_counts(capsys: pytest.CaptureFixture[str]) -> None:
    output.reset()
    with events.subscribed(Talk(Clock())), events.track("read", None, "rows") as bar:
        bar.advance(1234)
    assert capsys.readouterr().err == "read: 1,234 rows in 0.0 s\n"


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    output.reset()
    output.choose(Mode.quiet)
    with events.subscribed(Talk()), events.track("decode", 1, "images") as bar:
        bar.advance(1)
        events.info("chatter")
        events.warning("1 image is damaged")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "warning: 1 image is damaged\n")


LIVE = """
import time
from mltool.cli import output
from mltool.cli.progress import Talk
from mltool.core import events
output.reset()
talk = Talk()
with events.subscribed(talk), events.track("decode", 20, "images") as bar:
    for n in range(20):
        time.sleep(0.03)
        bar.advance(1, "fine")
        if n == 10:
            events.info("half of it")
            output.write("data")
talk.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_there_is_a_live_bar_and_stdout_stays_data(tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE], stdout=subprocess.PIPE, stderr=follower, env=environment, text=True
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            seen += os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
    out, _ = process.communicate(timeout=30)
    os.close(leader)
    text = seen.decode()
    assert process.returncode == 0, text
    assert out == "data\n"
    assert "images" in text
    assert " left" in text
    assert "half of it" in text
    assert "decode: 20 images in" in text
