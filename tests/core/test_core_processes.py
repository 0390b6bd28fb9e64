from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mltool.core import processes
from mltool.core.processes import identity, is_running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows does not tell")
SLEEPER = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_a_process_keeps_its_identity_while_it_runs(sleeper: subprocess.Popen[str]) -> None:
    first = identity(sleeper.pid)
    assert first
    assert identity(sleeper.pid) == first
    assert is_running(sleeper.pid, first)


def test_two_processes_have_two_identities(sleeper: subprocess.Popen[str]) -> None:
    assert identity(os.getpid()) != identity(sleeper.pid)
    assert not is_running(os.getpid(), identity(sleeper.pid))


def test_a_process_that_ended_does_not_run_even_before_it_was_waited_for(sleeper: subprocess.Popen[str]) -> None:
    known = identity(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(sleeper.pid, known)
    assert identity(sleeper.pid) is None
    sleeper.wait()
    assert not is_running(sleeper.pid, known)


def test_a_process_that_was_stopped_still_runs(sleeper: subprocess.Popen[str]) -> None:
    known = identity(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    assert is_running(sleeper.pid, known)
    os.kill(sleeper.pid, signal.SIGCONT)


def test_a_number_without_an_identity_does_not_count_as_running(sleeper: subprocess.Popen[str]) -> None:
    assert not is_running(sleeper.pid, None)
    assert not is_running(2**22 + 1, None)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**40])
def test_a_number_that_no_process_has_does_not_run(pid: int) -> None:
    assert identity(pid) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
@pytest.mark.parametrize("name", ["a b", "a) R 1 2", ") ) Z", "é"])
def test_the_name_of_the_program_does_not_matter(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    ticks = []
    for command in (["/bin/sleep", "60"], [program, "60"], ["/bin/sleep", "60"]):
        with subprocess.Popen(command) as process:
            known = identity(process.pid)
            assert known is not None
            assert is_running(process.pid, known)
            ticks.append(int(known.split()[0]))
            process.kill()
    assert ticks == sorted(ticks)


@pytest.mark.skipif(shutil.which("ps") is None, reason="`ps` is not at hand")
def test_where_there_is_no_proc_ps_is_asked(sleeper: subprocess.Popen[str]) -> None:
    first = processes._by_ps(sleeper.pid)
    assert first
    assert first == processes._by_ps(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert processes._by_ps(sleeper.pid) is None
    sleeper.wait()
    assert processes._by_ps(sleeper.pid) is None
