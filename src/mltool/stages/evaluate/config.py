from __future__ import annotations

from dataclasses import dataclass

from mltool.core.config.fields import setting
from mltool.runtimes.config import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateJob:
    """All that `mltool evaluate REF` reads."""

    split: str = setting("test", choices=("train", "validation", "test"))
    """The split of the dataset the model was made with."""

    batch_size: int = setting(256, minimum=1)

    backend: str = setting("auto", choices=lambda: ("auto", *backends.names()))
    """`auto` is the runtime that the model was compiled for, else ONNX Runtime."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads; all cores by default."""

    confidence: float = setting(0.95, above=0.0, maximum=0.999)
    """Level of the intervals, as a fraction of 1."""
