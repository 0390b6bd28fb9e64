from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mltool.core import host

POSIX = pytest.mark.skipif(os.name != "posix", reason="limits of a process are a matter of POSIX systems")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process takes")


def answer_of(code: str) -> str:
    code = f"from mltool.core import host; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_facts_are_plain_data() -> None:
    facts = host.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]
    assert facts["system"]


def test_there_is_at_least_one_core_and_no_more_than_the_machine_has() -> None:
    assert 1 <= host.num_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_cores_that_the_process_may_not_use_are_not_counted() -> None:
    assert (
        answer_of("import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(host.num_cores())") == "1"
    )


def test_available_memory_is_a_part_of_the_machine_s() -> None:
    available = host.available_memory_bytes()
    assert available > 0
    if hasattr(os, "sysconf"):
        assert available <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@LINUX
@pytest.mark.parametrize("limit", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_available_memory_respects_the_limits_of_the_process(limit: str) -> None:
    mib = 900
    code = f"""
import resource
resource.setrlimit(resource.{limit}, ({mib} << 20, {mib} << 20))
before = host.available_memory_bytes()
block = bytearray(100 << 20)
print(before, host.available_memory_bytes())
"""
    before, after = map(int, answer_of(f"\n{code}").split())
    assert 0 < before < mib << 20
    assert before - after == pytest.approx(100 << 20, rel=0.1)  # what is taken is no longer there


@POSIX
def test_available_memory_is_never_negative() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (4096, 4096)); print(host.available_memory_bytes())"
    )
    assert answer_of(code) == "0"


@POSIX
@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("echo NVIDIA A100; echo; echo ' Tesla T4 '", "('NVIDIA A100', 'Tesla T4')"),
        ("exit 9", "()"),  # a tool without a driver
        ("echo", "()"),
    ],
)
def test_the_driver_says_which_gpus_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, names: str
) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert answer_of("print(host.gpu_names())") == names


def test_cpu_flags_come_in_a_fixed_order() -> None:
    known = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16"]
    flags = list(host.cpu_flags())
    assert flags == [flag for flag in known if flag in flags]
