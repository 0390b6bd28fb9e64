"""What this machine is: processor, memory, disk, GPU, and the programs that some verbs start."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mltool.core import host, units
from mltool.integrations.engines import ENGINES, why_not
from mltool.stages.doctor.finding import Row, State

_FEW_BYTES = 2 << 30
_ASK_S = 20
_INT8 = {"avx512_vnni", "amx_int8", "asimd"}


def machine(store: Path) -> list[Row]:
    return [*_hardware(), *_disk(store)]


def programs() -> list[Row]:
    return [*_engines(), *_others()]


def _hardware() -> Iterator[Row]:
    area = "machine"
    yield Row(area, "python", State.fine, f"{platform.python_version()} on {platform.system()}, {platform.machine()}")
    cores, all_cores = host.num_cores(), os.cpu_count() or 1
    limited = f"{cores} of {all_cores} cores may be used" if cores < all_cores else f"{cores} cores"
    yield Row(area, "cpu", State.fine, f"{host.cpu_model()}, {limited}")
    flags = host.cpu_flags()
    fast = "int8 pays here" if _INT8 & set(flags) else "no instructions for int8, so it may not pay"
    yield Row(area, "instructions", State.fine, f"{', '.join(flags) or 'not told by this system'}; {fast}")
    free = host.available_memory_bytes()
    mend = "end what else runs, or give the container more" if free < _FEW_BYTES else ""
    yield Row(area, "memory", State.warning if mend else State.fine, f"{units.size(free)} may still be taken", mend)
    gpus = host.gpu_names()
    if gpus:
        yield Row(area, "gpu", State.fine, ", ".join(gpus))
    else:
        has_tool = shutil.which("nvidia-smi") is not None
        yield Row(area, "gpu", State.absent, "nvidia-smi finds none" if has_tool else "no NVIDIA driver")


def _disk(store: Path) -> Iterator[Row]:
    folder = next(one for one in (store, *store.resolve().parents) if one.is_dir())
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Row("machine", "store", State.broken, f"`{store}` cannot be read: {error.strerror}", is_core=True)
        return
    if not os.access(folder, os.W_OK):
        mend = "set MLTOOL_HOME to a folder that can be written"
        yield Row("machine", "store", State.broken, f"`{folder}` cannot be written", mend, is_core=True)
    else:
        mend = "free some, or set MLTOOL_HOME to another disk" if free < _FEW_BYTES else ""
        detail = f"{units.size(free)} free at `{store}`"
        yield Row("machine", "store", State.warning if mend else State.fine, detail, mend, is_core=True)


def _engines() -> Iterator[Row]:
    reasons = {name: why_not(name) for name in ENGINES}
    working = next((name for name, reason in reasons.items() if reason is None), None)
    for name, reason in reasons.items():
        if reason is None:
            yield Row("programs", name, State.fine, "works: `deploy docker` can use it")
        elif reason == "is not installed":
            yield Row("programs", name, State.absent, reason)
        elif working is not None:  # one is enough, so that this is no problem
            yield Row("programs", name, State.absent, f"{reason}; {working} is used instead")
        else:
            yield Row("programs", name, State.warning, reason, f"start {name}, or see `{name} info`")


def _others() -> Iterator[Row]:
    for name, arguments, use in (
        ("java", ["-version"], "`deploy torchserve`"),
        ("gcloud", ["--version"], "`deploy gcp`"),
        ("git", ["--version"], "versions of data and code"),
    ):
        path = shutil.which(name)
        if path is None:
            yield Row("programs", name, State.absent, f"is not installed: {use} needs it")
            continue
        try:
            answer = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_ASK_S)
        except (OSError, subprocess.SubprocessError):
            yield Row("programs", name, State.warning, "does not answer", f"see `{name} {arguments[0]}`")
            continue
        lines = (answer.stdout or answer.stderr).strip().splitlines()
        if answer.returncode != 0:
            why = lines[-1] if lines else f"it ended with {answer.returncode}"
            yield Row("programs", name, State.warning, f"does not work: {why}", f"see `{name} {arguments[0]}`")
        else:
            yield Row("programs", name, State.fine, lines[0] if lines else "works")
