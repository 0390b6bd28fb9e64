"""One page about a model in service: its windows, its robustness, and what it was asked."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.references import LATEST
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_text
from mltool.core import events, moments
from mltool.datasets.schema import Schema, schema_of
from mltool.records.deployment import Deployment
from mltool.records.ledger import Ledger
from mltool.records.reading import read, time_of_newest
from mltool.reports.service_page import ServiceReport, service_page
from mltool.runtimes.robustness import newest_ladder
from mltool.stages.monitor.config import MonitorConfig
from mltool.stages.monitor.drift import CLAIM, deployed_model
from mltool.stages.monitor.traffic import Traffic, traffic_of
from mltool.statistics.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What is known of a model in service.

    Attributes:
        deployment: The name of the deployment whose log was read; None if there is none.
        drift: Every window that was looked at, oldest first, as `monitor drift` attested it.
        robustness: The newest ladder; None if there is none.
        traffic: What the deployment recorded of this model; None if that is nothing.
        page: Where the page is.
    """

    model: Artifact
    deployment: str | None
    drift: Sequence[Mapping[str, Any]]
    robustness: Mapping[str, Any] | None
    traffic: Traffic | None
    page: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model.label,
            "digest": self.model.digest,
            "deployment": self.deployment,
            "drift": [dict(window) for window in self.drift],
            "robustness": self.robustness["summary"] if self.robustness else None,
            "traffic": self.traffic.to_json() if self.traffic else None,
            "page": str(self.page),
        }


def report(ref: str | None, config: MonitorConfig, store: Store) -> Watching:
    """Gather what is known of a model in service, and write its page beside the store's runs.

    Args:
        ref: The model; None is `latest`, and with a deployment the model that it runs.

    Raises:
        ArtifactError: There is no such model or deployment.
        ConfigError: A moment is none.
    """
    ledger, span = Ledger(store.root), _span(config)
    deployment = ledger.read(config.deployment) if config.deployment is not None else None
    if ref is None and deployment is not None:
        model = deployed_model(deployment, store)
    else:
        model = store.find(ref or LATEST, ArtifactKind.model)
        deployment = deployment or _deployment_of(model, ledger)
    schema = schema_of(model)
    traffic = _traffic(deployment, ledger, model, schema, span, config.last) if deployment is not None else None
    found = Watching(
        model=model,
        deployment=deployment.name if deployment is not None else None,
        drift=_windows(model, store),
        robustness=newest_ladder(model, store),
        traffic=traffic,
        page=store.runs / "pages" / f"monitor-{model.digest}.html",
    )
    page = ServiceReport(
        model=model.label,
        digest=model.digest,
        created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        drift=found.drift,
        ladder=found.robustness,
        traffic=traffic.to_json() if traffic else None,
        usual_classes=_usual_classes(model, schema),
        deployment=_facts(deployment, ledger) if deployment is not None else None,
    )
    with explained_disk_errors(store.root):
        found.page.parent.mkdir(parents=True, exist_ok=True)
        write_text(found.page, service_page(page))
    return found


def _deployment_of(model: Artifact, ledger: Ledger) -> Deployment | None:
    """The deployment that runs a model; of several, one that is in service."""
    known = [ledger.read(name) for name in ledger.names()]
    own = [one for one in known if one.current is not None and one.current.model_digest == model.digest]
    own.sort(key=lambda one: one.live is None)
    if len(own) > 1:
        names = ", ".join(one.name for one in own[1:])
        events.info(f"`{model.label}` is deployed as {names}, too; `deployment=NAME` shows another log")
    if not own and known:
        others = ", ".join(f"`{one.name}`" for one in known)
        events.info(f"`{model.label}` is not deployed now; `deployment=NAME` shows what {others} runs")
    return own[0] if own else None


def _span(config: MonitorConfig) -> tuple[float | None, float | None]:
    """From when to when, in Unix seconds; None is open."""
    now_s = time.time()
    since_s, until_s = (
        None if text is None else moments.moment(text, f"monitor.{key}", now_s)
        for key, text in (("since", config.since), ("until", config.until))
    )
    return since_s, until_s


def _traffic(
    deployment: Deployment,
    ledger: Ledger,
    model: Artifact,
    schema: Schema,
    span: tuple[float | None, float | None],
    at_most: int,
) -> Traffic | None:
    (since_s, until_s), folder = span, ledger.log_of(deployment)
    own: Any = {"until": until_s, "deployment": deployment.name, "model_digest": model.digest}
    with events.collected():  # what is wrong with a file is said once, by `read`
        first_s = time_of_newest(folder, at_most, since=since_s, **own)
    if first_s is None:
        return None
    with events.track("read the log", None, "requests") as bar:

        def counted() -> Any:
            for record in read(folder, since=first_s, **own):
                bar.advance(1)
                yield record

        return traffic_of(counted(), schema)


def _windows(model: Artifact, store: Store) -> list[dict[str, Any]]:
    """What `monitor drift` found of a model, oldest first."""
    found = []
    for proof in store.attestations(model):
        facts = proof.manifest.facts
        if proof.config.get("claim") == CLAIM and isinstance(facts.get("drift"), Mapping):
            window = {"created_utc": proof.manifest.created_utc, "source": facts.get("source", "")}
            found.append({**window, **facts["drift"]})
    return found


def _usual_classes(model: Artifact, schema: Schema) -> dict[str, int]:
    """How often the model predicted each class for the rows of its reference."""
    folder = model.path / "reference"
    if not schema.target.classes or not folder.is_dir():
        return {}
    probabilities = Reference.load(folder).outputs.get("probabilities")
    if probabilities is None or probabilities.ndim != 2:
        return {}
    predicted = probabilities.argmax(axis=1).tolist()
    return {name: predicted.count(code) for code, name in enumerate(schema.target.classes)}


def _facts(deployment: Deployment, ledger: Ledger) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "target": deployment.target,
        "url": deployment.live.url if deployment.live else None,
        "versions": [asdict(version) for version in deployment.versions],
        "history": [asdict(event) for event in ledger.history(deployment.name)],
    }
