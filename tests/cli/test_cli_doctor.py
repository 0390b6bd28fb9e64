from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_testing import Mltool

from mltool.stages.doctor import probes


@pytest.fixture(autouse=True)
def few_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying all of them takes half a minute, and is done by `tests/stages/test_doctor.py` one by one."""
    monkeypatch.setattr(probes.libraries, "__defaults__", (probes.LIMIT_S, ("simplejpeg",)))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of the core that cannot be imported."""
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes" / "simplejpeg.py").write_text("raise ImportError('libjpeg.so is not there')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "fakes"), os.environ.get("PYTHONPATH", ""))))


def test_a_sound_machine_ends_with_0_and_shows_all_areas(mltool: Mltool) -> None:
    shown = mltool("doctor")
    assert shown.code == 0, shown.out
    for area in ("versions", "extras", "libraries", "machine", "programs", "credentials"):
        assert any(line.startswith(area) for line in shown.out.splitlines()), area
    assert "✓ fine" in shown.out
    assert "try: 1 libraries in" in shown.err


def test_a_broken_core_ends_with_4_and_the_line_that_mends_it(mltool: Mltool, broken: None) -> None:
    shown = mltool("doctor")
    assert shown.code == 4
    assert "✗ broken" in shown.out
    assert 'mend  pip install --force-reinstall "simplejpeg"' in shown.out
    assert "error: `simplejpeg`: " in shown.err
    assert shown.err.endswith(
        'ImportError: libjpeg.so is not there\nhint: pip install --force-reinstall "simplejpeg"\n'
    )


def test_json_is_one_object_in_both_cases(mltool: Mltool, broken: None) -> None:
    shown = mltool("doctor", "--json")
    body = json.loads(shown.out)
    assert (shown.code, body["ok"]) == (4, False)
    row = next(row for row in body["rows"] if row["name"] == "simplejpeg")
    assert (row["area"], row["state"], row["is_core"]) == ("libraries", "broken", True)


def test_quiet_is_what_is_wrong(mltool: Mltool, broken: None) -> None:
    shown = mltool("doctor", "-q")
    assert "simplejpeg=broken" in shown.out.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
def test_ctrl_c_ends_it_at_once_with_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "fakes").mkdir()
    mark = tmp_path / "mark"
    for name in ("torch", "onnxruntime", "simplejpeg"):
        waits = f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(600)\n"
        (tmp_path / "fakes" / f"{name}.py").write_text(waits)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'fakes'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mltool", "doctor"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not mark.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().splitlines()[-1]) == (130, "error: interrupted")


def test_keys_and_folders_are_refused(mltool: Mltool) -> None:
    assert mltool("doctor", "torch").code == 2
    assert mltool("doctor", "--fix").code == 2
