"""Draws deployments: what answers, where, and what happened to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import draw_checks
from mltool.core import units

if TYPE_CHECKING:
    from mltool.records.deployment import Deployment
    from mltool.stages.deploy.docker import Image
    from mltool.stages.deploy.gcp.stage import Release
    from mltool.stages.deploy.targets import Log
    from mltool.stages.gcp.emulate import Endpoints

_NUM_EVENTS = 12
_FOLLOW_S = 0.3
_SIGNED = ' -H "Authorization: Bearer $(gcloud auth print-identity-token)"'
"""What `curl` has to send to a private service."""
_MARKS = {"answers": "passed", "in service": "passed", "stopped": "not_run", "unfinished": "not_run"}


def show_deployment(deployment: Deployment) -> None:
    """What answers now; `--quiet` is its address."""
    current, live = deployment.current, deployment.live
    url = live.url if live and live.url else ""
    if output.mode() is Mode.json:
        output.write_json({**deployment.to_json(), "url": url})
    elif output.mode() is Mode.quiet:
        output.write(url)
    else:
        model = (current.model_ref or current.model_digest[:12]) if current else ""
        number = f"version {current.number}" if current else ""
        output.write(f"{output.paint(deployment.name, 'bold', sys.stdout)}  {deployment.target}, {number}, {model}\n")
        if live and live.traffic:
            output.write(f"traffic {_traffic(live.traffic)}")
        output.write(f"page    {url}/")
        output.write(f"ask     curl {url}/predict --data-binary @FILE{_SIGNED if _is_private(deployment) else ''}")
        output.write(f"next    mltool deploy status {deployment.name}")
        output.write(f"        mltool deploy stop {deployment.name}")


def _is_private(deployment: Deployment) -> bool:
    """Whether a service of the cloud asks for a token; as it was last deployed, since a rollback only moves traffic."""
    answered = [version for version in deployment.versions if version.live_utc]
    last = max(answered, key=lambda version: str(version.live_utc), default=None)
    return last is not None and last.config.get("public") is False


def show_image(image: Image) -> None:
    """What was built; `--quiet` is the tag, or the folder where only the context was written."""
    if output.mode() is Mode.json:
        output.write_json(image.to_json())
    elif output.mode() is Mode.quiet:
        output.write(image.tag or str(image.context_folder))
    elif image.context_folder is not None:
        output.write(f"context  {output.relative(image.context_folder)}")
        output.write(
            f"next     docker build --tag {image.model.name or 'model'} {output.relative(image.context_folder)}"
        )
    else:
        size = units.size((image.size_mib or 0.0) * 2**20)
        output.write(f"{output.paint(image.tag, 'bold', sys.stdout)}  image of {image.model.label}, {size}\n")
        if image.check is not None:
            draw_checks([image.check])
        output.write(f"\nready after {words.duration(image.start_s or 0.0)}, built by {image.engine}")
        if image.url is not None:
            output.write(f"page    {image.url}/")
            output.write(f"next    {image.engine} rm --force {image.container}")
        elif image.engine == "buildah":  # it runs no images as such
            output.write(f"next    buildah push {image.tag} docker-daemon:{image.tag}")
        else:
            output.write(f"next    {image.engine} run --publish 8000:8000 {image.tag}")


def show_release(release: Release) -> None:
    """What answers on Cloud Run now; `--quiet` is its address."""
    if output.mode() is Mode.json:
        output.write_json(release.to_json())
    elif output.mode() is Mode.quiet:
        output.write(release.url)
    else:
        config, name = release.wanted.config, release.wanted.name
        title = output.paint(name, "bold", sys.stdout)
        output.write(f"{title}  gcp, version {release.version}, {release.wanted.model.label}\n")
        draw_checks([release.check])
        output.write(f"\nurl       {release.url}")
        output.write(f"revision  {release.revision} in {config.project}, {config.region}")
        output.write(f"traffic   {_traffic(release.traffic)}")
        output.write(f"costs     while it answers, at most {words.count(config.max_instances, 'instance')}")
        token = "" if config.public else _SIGNED
        output.write(f"ask       curl {release.url}/predict --data-binary @FILE{token}")
        output.write(f"next      mltool deploy status {name}")
        output.write(f"          mltool deploy stop {name}")


def _traffic(traffic: Mapping[str, int]) -> str:
    return ", ".join(f"{percent} % to {revision}" for revision, percent in traffic.items())


def show_address(model: str, url: str) -> None:
    """What a script that started a server waits for; people are told in words."""
    if output.mode() is Mode.json:
        output.write_json({"model": model, "url": url})
    elif output.mode() is Mode.quiet:
        output.write(url)
    sys.stdout.flush()


def show_endpoints(endpoints: Endpoints) -> None:
    """Where the stand-ins of Google Cloud answer, as lines for a shell, or for a script that waits for them."""
    if output.mode() is Mode.json:
        output.write_json(
            {
                "grpc": endpoints.grpc,
                "storage": endpoints.storage,
                "folder": str(endpoints.folder),
                "variables": endpoints.variables,
            }
        )
    else:
        for name, value in endpoints.variables.items():
            output.write(f"export {name}={value}")
    sys.stdout.flush()


def show_stopped(deployment: Deployment) -> None:
    if output.mode() is Mode.json:
        output.write_json(deployment.to_json())
    elif output.mode() is Mode.quiet:
        output.write(deployment.name)
    else:
        output.write(f"`{deployment.name}` is stopped")


def show_deployments(rows: Sequence[Mapping[str, Any]]) -> None:
    if output.mode() is Mode.json:
        output.write_json({"deployments": list(rows)})
    elif output.mode() is Mode.quiet:
        for row in rows:
            output.write(row["deployment"])
    elif not rows:
        output.say("there is no deployment yet; make one with `mltool deploy local`")
    else:
        columns = ("deployment", "state", "model", ">version", "target", "where")
        output.draw_table(columns, [_row(row) for row in rows])


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    state = f"{output.symbol(_MARKS.get(row['state'], 'failed'))} {row['state']}"
    return row["deployment"], state, row["model"] or "", str(row["version"] or ""), row["target"], row["url"] or ""


def show_status(status: Mapping[str, Any]) -> None:
    if output.mode() is Mode.json:
        output.write_json(status)
        return
    if output.mode() is Mode.quiet:
        output.write(status["state"])
        return
    show_deployments([status])
    if status.get("traffic"):
        output.write(f"\ntraffic  {_traffic(status['traffic'])}")
    if status.get("unfinished"):
        output.write(f"\nversion {status['unfinished']} is unfinished; the same command goes on with it")
    if status.get("problem"):
        output.write(f"\nproblem  {status['problem']}")
    for index, made in enumerate(status.get("made", ())):
        output.write(f"{'' if index else 'made':<7}  {made}")
    output.write("")
    if status["target"] != "gcp":  # whose instances record nothing on this machine
        records = words.count(status["num_predictions_recorded"], "prediction")
        output.write(f"{records} recorded in {output.relative(Path(status['records']))}\n")
    versions = [
        (str(v["number"]), v["model_ref"] or v["model_digest"][:12], v["state"], words.day(v["time_utc"]), _remarks(v))
        for v in status["versions"]
    ]
    output.draw_table((">version", "model", "state", "deployed (UTC)", "remarks"), versions)
    events = status["history"][-_NUM_EVENTS:]
    output.write("")
    rows = [(words.day(e["time_utc"]), e["event"], str(e["version"] or ""), e["detail"]) for e in events]
    output.draw_table(("time (UTC)", "event", ">version", "detail"), rows)


def _remarks(version: Mapping[str, Any]) -> str:
    accepted = version["accepted_failed_checks"]
    texts = [version["reason"], f"accepted although failed: {', '.join(accepted)}" if accepted else ""]
    return "; ".join(text for text in texts if text)


def show_log(log: Log, *, follow: bool) -> None:
    """A file's text, and with `follow` what comes after, until Ctrl-C; elsewhere, what shows it. `--quiet` is where."""
    if log.path is None:
        _show_remote_log(log)
    else:
        _show_log_file(log.path, follow=follow)


def _show_remote_log(log: Log) -> None:
    if output.mode() is Mode.json:
        output.write_json({"command": log.command, "url": log.url})
    elif output.mode() is Mode.quiet:
        output.write(log.command or "")
    else:
        output.write(f"command  {log.command}")
        output.write(f"page     {log.url}")


def _show_log_file(path: Path, *, follow: bool) -> None:
    if output.mode() is Mode.quiet:
        output.write(str(path))
        return
    if output.mode() is Mode.json:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        output.write_json({"path": str(path), "lines": lines})
        return
    if not path.exists():
        output.say(f"`{output.relative(path)}` is not there yet")
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        while True:
            for line in stream:
                output.write(line.rstrip("\n"))
            if not follow:
                return
            sys.stdout.flush()
            time.sleep(_FOLLOW_S)
