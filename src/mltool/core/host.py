"""Facts about this machine, as far as they change results or speed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16")


@cache
def cpu_flags() -> tuple[str, ...]:
    """The instruction sets that decide which kernels run, in a fixed order; empty where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ()
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    present = set(next(lines, "").partition(":")[2].split())
    return tuple(flag for flag in _FLAGS if flag in present)


@cache
def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def num_cores() -> int:
    """Cores this process may use: the smaller of its affinity and the quota of its cgroup, at least 1."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return available
    return available if quota == "max" else max(1, min(available, int(quota) // int(period)))


def available_memory_bytes() -> int:
    """Memory this process may still take: the least of what is free, its cgroup's and its own limits."""
    limits = [_free_bytes()]
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8"))
        if limit != "max":
            limits.append(int(limit) - used)
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return max(0, min(limits))
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft - _own_bytes("VmSize" if kind == resource.RLIMIT_AS else "VmData"))
    return max(0, min(limits))


def _free_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held at once; None where the system does not say."""
    peak = _own_bytes("VmHWM")
    if peak:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Not on Linux, which counts in what the parent held when it started this process.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def limit_memory() -> None:
    """Let this process be refused what is not free, before the system stops it, or another one, to find it."""
    held = _own_bytes("VmData")
    if held:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (held + available_memory_bytes(), hard))


def _own_bytes(field: str) -> int:
    """A line of what Linux says of this process, else 0."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


@cache
def gpu_names() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs, asked of the driver so that torch need not load."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def facts() -> dict[str, Any]:
    """What an artifact records about where it was made."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cpu_flags": list(cpu_flags()),
        "num_cores": num_cores(),
        "gpus": list(gpu_names()),
    }
