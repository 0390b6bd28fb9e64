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

_NUM_EVENTS = 12
_FOLLOW_S = 0.3
_MARKS = {"answers": "passed", "stopped": "not_run"}


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
        output.write(f"page    {url}/")
        output.write(f"ask     curl {url}/predict --data-binary @FILE")
        output.write(f"next    mltool deploy status {deployment.name}")
        output.write(f"        mltool deploy stop {deployment.name}")


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


def show_address(model: str, url: str) -> None:
    """What a script that started a server waits for; people are told in words."""
    if output.mode() is Mode.json:
        output.write_json({"model": model, "url": url})
    elif output.mode() is Mode.quiet:
        output.write(url)
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
    records = words.count(status["num_predictions_recorded"], "prediction")
    output.write(f"\n{records} recorded in {output.relative(Path(status['records']))}\n")
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


def show_log(path: Path, *, follow: bool) -> None:
    """The whole log, and with `follow` what comes after, until Ctrl-C; `--quiet` is where it is."""
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
