from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_testing import Mltool

from mltool.cli import errors, output
from mltool.core.errors import ArtifactError, CheckError, ConfigError, MltoolError, RemoteError


@pytest.mark.parametrize("kind", [MltoolError, ConfigError, ArtifactError, CheckError, RemoteError])
def test_every_error_ends_with_its_own_exit_code_and_a_hint(
    kind: type[MltoolError], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise kind("`x` is wrong", hint="try `y`")

    output.reset()
    assert errors.guarded(fail, []) == kind.exit_code
    out, err = capsys.readouterr()
    assert err == "error: `x` is wrong\nhint: try `y`\n"
    assert out == ""


def test_a_bug_is_one_line_that_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLTOOL_DEBUG", raising=False)
    assert errors.guarded(lambda: {}["lost"], []) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: mltool failed unexpectedly: KeyError: 'lost'\n")
    assert "MLTOOL_DEBUG=1" in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback_of_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLTOOL_DEBUG", "1")
    assert errors.guarded(lambda: {}["lost"], []) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert 'lambda: {}["lost"]' in err


def test_debug_shows_the_traceback_of_a_users_mistake(mltool: Mltool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_DEBUG", "1")
    outcome = mltool("train", "epochs=x")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


def test_an_unknown_command_names_the_nearest(mltool: Mltool) -> None:
    outcome = mltool("trian")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: unknown command `trian`\nhint: did you mean `mltool train`?\n"


def test_an_unknown_command_of_a_group_names_the_nearest(mltool: Mltool) -> None:
    assert "did you mean `mltool models show`?" in mltool("models", "shwo").err


def test_an_unknown_option_names_the_nearest(mltool: Mltool) -> None:
    outcome = mltool("train", "--resum")
    assert outcome.code == 2
    assert outcome.err == "error: unknown option `--resum`\nhint: did you mean `--resume`?\n"


@pytest.mark.parametrize("token", ["--epochs=3", "--batch-size", "--data.source"])
def test_a_key_written_as_an_option_says_how_to_write_it(mltool: Mltool, token: str) -> None:
    outcome = mltool("train", token)
    assert outcome.code == 2
    assert "hint: values are keys: write `" in outcome.err
    assert token.lstrip("-").partition("=")[0].replace("-", "_") + "=VALUE" in outcome.err


def test_a_value_given_to_a_flag_is_a_usage_error(mltool: Mltool) -> None:
    outcome = mltool("train", "--json=yes")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "`--json` does not take a value" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [("train", "epochs=x", "--json"), ("train", "--json", "--nope"), ("nope", "--json"), ("models", "show", "--json")],
)
def test_with_json_an_error_is_also_one_object_on_stdout(mltool: Mltool, arguments: tuple[str, ...]) -> None:
    outcome = mltool(*arguments)
    error = json.loads(outcome.out)["error"]
    assert set(error) == {"message", "hint", "exit_code"}
    assert error["exit_code"] == outcome.code == 2
    assert f"error: {error['message']}" in outcome.err


def test_json_and_quiet_exclude_each_other(mltool: Mltool) -> None:
    outcome = mltool("models", "list", "--json", "--quiet")
    assert outcome.code == 2
    assert "exclude each other" in outcome.err


def test_an_interrupted_training_says_how_to_continue(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    output.reset()
    assert errors.guarded(interrupted, ["train", "epochs=5"]) == 130
    assert capsys.readouterr().err == "error: interrupted\nhint: continue with `mltool train epochs=5 --resume`\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_in_the_middle_of_a_command_is_one_line_and_exit_code_130(project: Path) -> None:
    started = "import sys, time; from mltool.cli import app, errors; sys.stderr.write('ready\\n'); sys.stderr.flush(); "
    code = started + "sys.exit(errors.guarded(lambda: time.sleep(60), ['evaluate']))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: interrupted\n"


@pytest.fixture(params=["buffered", "unbuffered"])
def listing(request: pytest.FixtureRequest, project: Path) -> Callable[[int], subprocess.CompletedProcess[str]]:
    """Runs a command that writes data to a file descriptor, at once or at its end."""
    flags = ["-u"] if request.param == "unbuffered" else []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

    def call(stdout: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *flags, "-m", "mltool", "models", "list", "--json"]
        return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)

    return call


Listing = Callable[[int], "subprocess.CompletedProcess[str]"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGPIPE")
def test_a_reader_that_stops_reading_causes_no_complaint(listing: Listing) -> None:
    read, write = os.pipe()
    os.close(read)
    process = listing(write)
    os.close(write)
    assert (process.returncode, process.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_reported(listing: Listing) -> None:
    with Path("/dev/full").open("w") as full:
        process = listing(full.fileno())
    assert process.returncode == 1
    assert process.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="closes streams as a POSIX shell does")
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_no_failure(project: Path, closed: str) -> None:
    command = f'"{sys.executable}" -m mltool models list {closed}'
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Error" not in process.stderr


def test_a_ctrl_c_that_a_library_turned_into_its_own_error_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        with contextlib.suppress(KeyboardInterrupt):  # as the initialisation of a C module does
            signal.raise_signal(signal.SIGINT)
        raise ImportError("initialization failed")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(errors, "_interrupts", [])
    try:
        assert errors.guarded(load, ["train"]) == 1
        errors.watch_interrupts()
        assert errors.guarded(load, ["train", "lr=1"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "continue with `mltool train lr=1 --resume`" in capsys.readouterr().err
