from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mltool.core.config.fields import setting
from mltool.runtimes.config import backends


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` for every network that the machine is in."""

    port: int = setting(8000, minimum=0, maximum=65535)
    """0 takes a free one."""

    workers: int = setting(1, minimum=1, maximum=64)
    """Processes that answer; above 1, a parent watches them and starts those that die again."""

    backend: str = setting("auto", choices=lambda: ("auto", *backends.names()))
    """`auto` is the runtime that the model was compiled for, else ONNX Runtime."""

    threads: int | None = setting(None, minimum=1, maximum=1024)
    """CPU threads of one call in one worker; by default those that the model was compiled for, else 1."""

    served_model_name: str | None = None
    """What clients know the model as, `NAME` or `NAME@VERSION`; by default its reference."""

    max_batch_size: int = setting(64, minimum=1, maximum=65536)
    """Samples that requests which wait at the same time are run in together."""

    max_queue_size: int = setting(1024, minimum=1)
    """Samples that may wait; beyond it, requests are answered with 429."""

    max_body_mib: float = setting(16.0, above=0, maximum=2047)
    """Largest body of a request, as it is sent and after it was unpacked; beyond it, 413."""

    timeout_s: float = setting(30.0, above=0)
    """How long a request may take to arrive (408), and then to be answered (504)."""

    drain_s: float = setting(30.0, minimum=0)
    """How long running requests may take to end after SIGTERM."""

    api_key_file: str | None = setting(None, is_path=True)
    """File whose first line every request must carry; MLTOOL_API_KEY does the same. Health and readiness are open."""

    record: str = setting("auto", choices=("auto", "all", "outputs", "off"))
    """What the prediction log keeps: `auto` leaves out pictures, texts and large tensors, `all` keeps them."""

    record_folder: str | None = setting(None, is_path=True)
    """Where the prediction log is written; by default in `.mltool/deployments/<deployment>`."""

    deployment: str | None = None
    """Name that predictions are recorded under; by default the model's."""

    def recorded_in(self, usual: Path | None) -> Path | None:
        """The folder of the prediction log; None where nothing is recorded."""
        if self.record == "off":
            return None
        return Path(self.record_folder) if self.record_folder is not None else usual
