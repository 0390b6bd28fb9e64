"""Whether what is installed fits together, and what each extra adds."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from mltool.stages.doctor.finding import Row, State
from mltool.stages.doctor.installed import ROOT, Installed

EXTRAS = {
    "emulate": "`gcp emulate`: Google's services on this machine, without an account",
    "lightning": "trains LightningModules as they are",
    "openvino": "a second runtime that `compile` tries, the faster one for many networks",
    "tensorrt": "TensorRT engines for NVIDIA GPUs",
    "test": "what the tests of mltool need",
    "dev": "what working on mltool needs",
}
"""What each extra adds; a test compares the names with those of the distribution."""
CROWDED = ("numpy", "torch", "omegaconf", "hydra-core", "protobuf", "grpcio", "onnx", "onnxruntime", "pydantic")
"""Distributions that many others limit, so that another version may have been brought in with one of them."""
_VERSIONS = "versions"


def fitting(installed: Installed) -> list[Row]:
    """Rows for what mltool needs, for what else limits the same distributions, and for the extras."""
    version = installed.version(ROOT)
    if version is None:
        detail = "it is not installed, only run from a folder"
        return [Row(_VERSIONS, ROOT, State.broken, detail, "pip install .", is_core=True)]
    needed = installed.unmet(ROOT)
    rows = [
        Row(_VERSIONS, one.requirement.name, State.broken, one.said(), one.mended(), is_core=True) for one in needed
    ]
    if not needed:
        detail = f"{version}: all {len(installed.closure(ROOT)) - 1} distributions that it needs fit"
        rows.append(Row(_VERSIONS, ROOT, State.fine, detail, is_core=True))
    known = {(one.needed_by, one.requirement.name) for one in needed}
    others = (one for one in installed.unmet_of_any(CROWDED) if (one.needed_by, one.requirement.name) not in known)
    rows += [Row(_VERSIONS, one.requirement.name, State.warning, one.said(), one.mended()) for one in others]
    return [*rows, *_builds(installed), *_extras(installed)]


def extra_of(name: str, installed: Installed) -> str | None:
    """The extra that brings a distribution."""
    return next((extra for extra in EXTRAS if any(one.name == name for one in installed.added_by(extra))), None)


def _extras(installed: Installed) -> Iterator[Row]:
    needed = installed.unmet(ROOT)
    for extra, adds in EXTRAS.items():
        lacking = [one.name for one in installed.added_by(extra) if installed.get(one.name) is None]
        wrong = [one for one in installed.unmet(ROOT, [extra]) if one not in needed]
        mend = f'pip install "{ROOT}[{extra}]"'
        if lacking:
            yield Row("extras", extra, State.absent, f"{adds}; not installed: {', '.join(lacking)}", mend)
        elif wrong:
            yield Row("extras", extra, State.warning, f"{adds}; {wrong[0].said()}", wrong[0].mended())
        else:
            yield Row("extras", extra, State.fine, adds)


def _builds(installed: Installed) -> Iterator[Row]:
    """Torch and its companions must be of one build: one for CUDA beside one for the CPU has no operators."""
    torch = installed.version("torch") or ""
    for name in ("torchvision", "torchaudio"):
        other = installed.version(name) or ""
        if _build(torch) and _build(other) and _build(torch) != _build(other):
            mend = f'pip install --force-reinstall "torch=={torch}" {name}'
            yield Row(_VERSIONS, name, State.warning, f"torch is {torch}, but {name} is {other}", mend)


def _build(version: str) -> str | None:
    try:
        return Version(version).local
    except InvalidVersion:
        return None
