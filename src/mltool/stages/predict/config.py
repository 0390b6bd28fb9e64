from __future__ import annotations

from dataclasses import dataclass

from mltool.core.config.fields import setting
from mltool.runtimes.config import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictJob:
    """All that `mltool predict REF` reads."""

    input: str | None = None
    """A JSON, JSONL, CSV, image or `.npy` file, a folder of pictures, or `-` for standard input."""

    batch_size: int = setting(256, minimum=1)

    backend: str = setting("auto", choices=lambda: ("auto", *backends.names()))
    """`auto` is the runtime that the model was compiled for, else ONNX Runtime."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads; all cores by default."""
