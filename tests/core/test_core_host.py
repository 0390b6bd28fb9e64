from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@LINUX
def test_the_peak_of_memory_is_of_this_process_and_stays() -> None:
    code = """
block = bytearray(b"x") * (200 << 20)
held = host.peak_memory_bytes()
del block
print(held, host.peak_memory_bytes())
"""
    ballast = bytearray(b"x") * (400 << 20)  # what the parent holds is none of it
    held, after = map(int, answer_of(f"\n{code}").split())
    assert 200 << 20 < held < 390 << 20
    assert after > 200 << 20
    assert len(ballast) == 400 << 20


@LINUX
def test_a_process_is_refused_what_is_not_free() -> None:
    code = """
host.available_memory_bytes = lambda: 300 << 20
host.limit_memory()
block = bytearray(100 << 20)
try:
    bytearray(300 << 20)
except MemoryError:
    print("refused")
"""
    assert answer_of(f"\n{code}") == "refused"


@pytest.fixture
def system_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Files of the system that say something else than they do here; the rest of them is as it is."""

    def write(**files: str) -> None:
        texts = {f"/sys/fs/cgroup/{name.replace('_', '.')}": text for name, text in files.items()}
        real = Path.read_text

        def read_text(path: Path, *args: Any, **knobs: Any) -> str:
            return texts[path.as_posix()] if path.as_posix() in texts else real(path, *args, **knobs)

        monkeypatch.setattr(Path, "read_text", read_text)

    return write


@pytest.mark.parametrize(("limit", "used", "left"), [(300_000, 100_000, 200_000), (300_000, 400_000, 0)])
def test_what_a_container_uses_already_is_not_available(
    system_says: Callable[..., None], limit: int, used: int, left: int
) -> None:
    system_says(memory_max=f"{limit}\n", memory_current=f"{used}\n")
    assert host.available_memory_bytes() == left


def test_a_container_without_a_limit_takes_nothing_away(system_says: Callable[..., None]) -> None:
    system_says(memory_max="max\n", memory_current=f"{1 << 60}\n")
    assert host.available_memory_bytes() > 0


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("270000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)]
)
def test_a_container_has_the_whole_cores_of_its_quota(
    system_says: Callable[..., None], monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    system_says(cpu_max=f"{quota}\n")
    assert host.num_cores.__wrapped__() == cores


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
