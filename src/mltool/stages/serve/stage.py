"""Answer over HTTP: tensors, records and pictures in, predictions out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.records.ledger import Ledger
from mltool.serving.keys import warn_if_open
from mltool.serving.listening import listen, url_of
from mltool.serving.supervisor import Plan, supervise
from mltool.serving.worker import answer
from mltool.stages.serve.config import ServeJob


def serve(
    model: Artifact, job: ServeJob, ledger: Ledger | None, on_ready: Callable[[str, str], None] | None = None
) -> None:
    """Answer until SIGTERM or Ctrl-C, and then end what was begun.

    Args:
        on_ready: Called with what clients know the model as, and where it answers.
        ledger: Knows the place of each prediction log; None records only where `record_folder` says so.

    Raises:
        ConfigError: The address or the key is wrong.
        ArtifactError: The model cannot be run.
        MltoolError: The port is taken, or requests had to be cut off at the end.
    """
    name = job.serve.deployment or model.name or model.digest[: digest.SHORT]
    config = dataclasses.replace(job.serve, deployment=name)
    warn_if_open(config)
    if model.has_failed_checks:
        events.warning(f"`{model.label}` failed a check: `mltool models show {model.label}` shows which")
    listener = listen(config.host, config.port)
    record_folder = config.recorded_in(ledger.predictions(name) if ledger is not None else None)

    def say_ready() -> None:
        recorded = f", records in `{record_folder}`" if record_folder else ""
        name, url = config.served_model_name or model.label, url_of(listener)
        events.info(f"`{name}` answers on {url}{recorded}")
        if on_ready is not None:
            on_ready(name, url)

    if config.workers == 1:
        is_whole = answer(model, config, listener, record_folder=record_folder, on_ready=say_ready)
    else:
        is_whole = supervise(Plan(model, config, record_folder), listener, say_ready)
    if not is_whole:
        raise MltoolError(
            f"running requests were cut off after {config.drain_s:g} s", hint="give them longer with `drain_s=`"
        )
    events.info("stopped; every request was answered")
