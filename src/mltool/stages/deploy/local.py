"""A model in service on this machine, in the background: one process owns the socket, and changes models behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.core.errors import ArtifactError, MltoolError
from mltool.core.processes import identity, is_running
from mltool.records.deployment import DeployedVersion, Deployment, Live, VersionState
from mltool.records.ledger import Ledger
from mltool.runtimes.gate import admit
from mltool.runtimes.robustness import robustness_in_words, tell_robustness
from mltool.serving.config import ServeConfig
from mltool.serving.keys import VARIABLE, api_key, warn_if_open
from mltool.stages.deploy.carrying import carried_over
from mltool.stages.deploy.config import LocalJob

TARGET = "local"
_START_S = 150.0
_POLL_S = 0.05
_ASK_S = 5.0
_PATIENCE_S = 2.0
_MAX_LOG_BYTES = 16 << 20
_children: list[subprocess.Popen[bytes]] = []
"""Started by this process: kept, so that they can be waited for and never linger as dead ones."""


def plan(
    model: Artifact, resolved: Resolved[LocalJob], store: Store, *, accept_failed_checks: bool = False
) -> dict[str, Any]:
    """What `deploy` would do, as plain data; nothing is started or written.

    Raises:
        CheckError: As `deploy`.
    """
    admit(model, store, accept_failed_checks=accept_failed_checks)
    ledger, name = Ledger(store.root), _name(model, resolved.config.serve)
    deployment = _known(ledger, name)
    current = deployment.current if deployment else None
    config = asdict(_config(resolved, name, deployment))
    before = current.config if current else {}
    return {
        "deployment": name,
        "target": TARGET,
        "model": model.label,
        "digest": model.digest,
        "robustness": robustness_in_words(model, store),
        "replaces": f"version {current.number}, {current.model_ref or current.model_digest[:12]}" if current else None,
        "changes": [f"{key}={value}" for key, value in config.items() if before.get(key, value) != value],
        "config": [f"{key}={value}" for key, value in config.items() if value is not None],
    }


def deploy(
    model: Artifact, resolved: Resolved[LocalJob], store: Store, *, accept_failed_checks: bool = False
) -> Deployment:
    """Put a model into service; what answered before goes on until the new one does, and loses no request.

    Raises:
        CheckError: The model failed a check, or lacks one.
        MltoolError: It does not start; what answered before still does.
    """
    ledger, name = Ledger(store.root), _name(model, resolved.config.serve)
    before = _known(ledger, name)
    config = _config(resolved, name, before)
    warn_if_open(config)
    if before is not None and is_up(before):
        _expect_same_key(before, config)
    accepted = admit(model, store, accept_failed_checks=accept_failed_checks)
    tell_robustness(model, store)
    with ledger.locked(name, target=TARGET) as deployment:
        version = deployment.add_version(model, asdict(config), [check.id for check in accepted])
    return _advance(ledger, name, version)


def rollback(ledger: Ledger, name: str) -> Deployment:
    """Bring back what answered before the current version was deployed.

    Raises:
        ArtifactError: There is nothing to go back to, or its model is gone.
        MltoolError: It does not start; the current version still answers.
    """
    with ledger.locked(name, target=TARGET) as deployment:
        previous = deployment.previous()
        if previous is None:
            raise ArtifactError(f"`{name}` has no earlier version that answered")
        deployment.begin_again(previous.number)
    if not is_up(deployment):  # a new process has the key of this environment, whatever the last one had
        warn_if_open(ServeConfig(**previous.config))
    return _advance(ledger, name, previous)


def stop(ledger: Ledger, name: str) -> Deployment:
    """End a deployment, after what it has begun to answer; it can be deployed again.

    Raises:
        MltoolError: It does not end.
    """
    deployment = ledger.read(name)
    live = deployment.live
    if live is not None and live.pid is not None and _sent(live, signal.SIGTERM):
        patience_s = max(float(version.config.get("drain_s", 30.0)) for version in deployment.versions) + 15
        seconds = _clock(f"`{name}` has answered what it has begun")
        while is_up(deployment):
            if next(seconds) > patience_s:
                raise MltoolError(f"process {live.pid} of `{name}` does not end", hint=f"kill -9 {live.pid}")
        deployment = ledger.read(name)
    if any(version.state in (VersionState.live, VersionState.starting) for version in deployment.versions):
        with ledger.locked(name) as deployment:  # its process was gone already
            deployment.stopped("its process had ended")
    return deployment


def is_up(deployment: Deployment) -> bool:
    """Whether the process of a deployment runs."""
    live = deployment.live
    return live is not None and live.pid is not None and is_running(live.pid, live.process)


def log_path(ledger: Ledger, name: str) -> Path:
    return ledger.folder(name) / "log.txt"


def _name(model: Artifact, config: ServeConfig) -> str:
    return config.deployment or model.name or model.digest[: digest.SHORT]


def _known(ledger: Ledger, name: str) -> Deployment | None:
    return ledger.read(name) if name in ledger.names() else None


def _config(resolved: Resolved[LocalJob], name: str, deployment: Deployment | None) -> ServeConfig:
    """What was written, over what the version before had, over the defaults."""
    merged = carried_over(resolved.config.serve, "serve", resolved.origins, deployment)
    for key in ("api_key_file", "record_folder"):  # the process behind it has another current folder
        merged[key] = os.path.abspath(merged[key]) if merged[key] else None  # noqa: PTH100 - links stay links
    merged["deployment"] = name
    return ServeConfig(**merged)


def _advance(ledger: Ledger, name: str, version: DeployedVersion) -> Deployment:
    """Have the process behind a deployment turn to a version, and wait until it answers."""
    with ledger.locked(name) as deployment:  # of two that deploy at the same time, one starts the process
        if deployment.live is None or not _sent(deployment.live, signal.SIGHUP):
            deployment.live = _start(ledger, name)
    try:
        return _awaited(ledger, name, version)
    except KeyboardInterrupt:
        events.warning(f"version {version.number} of `{name}` goes on starting; see `mltool deploy status {name}`")
        raise


def _awaited(ledger: Ledger, name: str, version: DeployedVersion) -> Deployment:
    seconds, log = _clock(f"version {version.number} of `{name}` answers"), log_path(ledger, name)
    while True:
        deployment = ledger.read(name)
        now = deployment.version(version.number)
        if now.state is VersionState.live:
            return deployment
        if now.state is not VersionState.starting:
            raise MltoolError(f"version {now.number} of `{name}` failed: {now.reason}", hint=f"its log is `{log}`")
        if not is_up(deployment) or next(seconds) > _START_S:
            reason = "it took too long to start" if is_up(deployment) else f"its process ended: {_last_line(log)}"
            with ledger.locked(name) as deployment:
                deployment.failed(version.number, reason)
            raise MltoolError(f"version {now.number} of `{name}` failed: {reason}", hint=f"its log is `{log}`")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"


def _sent(live: Live, number: int) -> bool:
    """Send a signal to the process of a deployment; False if it does not run."""
    if live.pid is None or not is_running(live.pid, live.process):
        return False
    try:
        os.kill(live.pid, number)
    except ProcessLookupError:
        return False
    return True


def _expect_same_key(deployment: Deployment, config: ServeConfig) -> None:
    """Refuse a key that the running process would not know: it has the environment that it was started with.

    Raises:
        MltoolError: Requests need another key than the environment holds now, or one though it holds none.
    """
    url, key = deployment.live.url if deployment.live else None, api_key(config)
    current = deployment.current
    if url is None or current is None or config.api_key_file or current.config.get("api_key_file"):
        return  # a file is read anew by every version
    without, with_key = _status(f"{url}/v2", None), _status(f"{url}/v2", key)
    if (key is None and without == 401) or (key is not None and (without == 200 or with_key == 401)):
        raise MltoolError(
            f"`{deployment.name}` runs with another key than {VARIABLE} holds now: its process keeps its environment",
            hint=f"`mltool deploy stop {deployment.name}` first, or use `api_key_file=`, which each version reads anew",
        )


def _status(url: str, key: str | None) -> int | None:
    request = urllib.request.Request(url, headers={"X-API-Key": key} if key else {})  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=_ASK_S) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return None


def _start(ledger: Ledger, name: str) -> Live:
    log = log_path(ledger, name)
    if log.exists() and log.stat().st_size > _MAX_LOG_BYTES:
        log.replace(log.with_suffix(".1.txt"))
    # It ignores SIGHUP until it knows what to do with it: the next to deploy may be faster. -P: a file in the current
    # folder must not take the place of a library's.
    shell = ["/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"']
    arguments = [*shell, sys.executable, "-P", "-m", "mltool.serving.deployed", str(ledger.root.resolve()), name]
    with log.open("ab") as stream:
        child = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd=ledger.root
        )
    _children.append(child)
    return Live(pid=child.pid, process=identity(child.pid))


def _clock(waiting_for: str) -> Iterator[float]:
    """Seconds since the first look, with a little sleep before each; says what is waited for if it takes longer."""
    started, is_said = time.monotonic(), False
    while True:
        time.sleep(_POLL_S)
        for child in _children:
            child.poll()
        seconds = time.monotonic() - started
        if seconds > _PATIENCE_S and not is_said:
            is_said = True
            events.info(f"waiting until {waiting_for}")
        yield seconds
