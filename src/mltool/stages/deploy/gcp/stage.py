"""A model on Cloud Run: built there, asked there for its own samples, and only then given the traffic.

Every step first looks whether it was done already, so that a run that was cut off is continued by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.core.errors import ConfigError
from mltool.records.ledger import Ledger
from mltool.runtimes.gate import admit
from mltool.runtimes.robustness import robustness_in_words, tell_robustness
from mltool.stages.deploy.config import GcpJob
from mltool.stages.deploy.gcp.building import built
from mltool.stages.deploy.gcp.journal import TARGET, Journal
from mltool.stages.deploy.gcp.plan import planned
from mltool.stages.deploy.gcp.preflight import connect, survey
from mltool.stages.deploy.gcp.rollout import roll_out
from mltool.stages.deploy.gcp.service import expect_managed
from mltool.stages.deploy.gcp.wanted import Wanted, service_name, wanted

CLAIM = "gcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A model in service on Cloud Run.

    Attributes:
        version: Its number in the ledger.
        build: None if the image was there already.
        traffic: Percent by revision.
        check: How far its answers differ from those of the model.
        accepted: Checks of the model that failed or are missing, and were accepted.
    """

    wanted: Wanted
    version: int
    url: str
    revision: str
    image: str
    build: str | None
    traffic: dict[str, int]
    check: Check
    accepted: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        config = self.wanted.config
        return {
            "model": self.wanted.model.label,
            "model_digest": self.wanted.model.digest,
            "deployment": self.wanted.name,
            "version": self.version,
            "project": config.project,
            "region": config.region,
            "service": self.wanted.name,
            "url": self.url,
            "public": config.public,
            "revision": self.revision,
            "image": self.image,
            "image_digest": self.image.rpartition("@")[2],
            "build": self.build,
            "traffic": self.traffic,
            "checks": [self.check.to_json()],
            "accepted": [check.to_json() for check in self.accepted],
        }


def plan(
    model: Artifact, resolved: Resolved[GcpJob], store: Store, *, accept_failed_checks: bool = False
) -> dict[str, Any]:
    """What `deploy_gcp` would do, as plain data; it looks, but nothing is written.

    Raises:
        CheckError, ConfigError, RemoteError: As `deploy_gcp`.
    """
    ledger = Ledger(store.root)
    found = _wanted(model, resolved, ledger)
    accepted = admit(model, store, accept_failed_checks=accept_failed_checks)
    cloud, found = connect(found)
    _expect_same_place(found, ledger)
    standing = survey(cloud, found)
    expect_managed(standing.service, cloud)
    return {**planned(cloud, found, standing, store, accepted), "robustness": robustness_in_words(model, store)}


def deploy_gcp(
    model: Artifact, resolved: Resolved[GcpJob], store: Store, *, accept_failed_checks: bool = False
) -> Release:
    """Put a model into service on Cloud Run; what answered before goes on until the new revision answered rightly.

    Raises:
        CheckError: The model failed a check or lacks one, or it answers otherwise there than here.
        ConfigError: A value is wrong, or the service of this name is somebody else's.
        RemoteError: Something is missing in the project, a call failed, the build failed, or the revision does not
            start. The same command, run again, goes on from there.
    """
    ledger = Ledger(store.root)
    found = _wanted(model, resolved, ledger)
    accepted = admit(model, store, accept_failed_checks=accept_failed_checks)
    tell_robustness(model, store)
    cloud, found = connect(found)
    _expect_same_place(found, ledger)
    standing = survey(cloud, found)
    expect_managed(standing.service, cloud)
    _warn_of_cost(found)
    journal = Journal.begin(ledger, found, accepted)
    with journal.listing_what_is_left():
        image = built(cloud, found, standing, journal, store)
        journal.note(image=f"{found.address}@{image.digest}")
        done = roll_out(cloud, found, image.digest, journal)
    store.attest(
        model,
        CLAIM,
        checks=[done.check],
        facts={"url": done.url, "revision": done.revision, "accepted": [one.to_json() for one in accepted]},
    )
    return Release(
        wanted=found,
        version=journal.number,
        url=done.url,
        revision=done.revision,
        image=f"{found.address}@{image.digest}",
        build=image.build_id,
        traffic=done.traffic,
        check=done.check,
        accepted=accepted,
    )


def _wanted(model: Artifact, resolved: Resolved[GcpJob], ledger: Ledger) -> Wanted:
    name = service_name(model, resolved)
    deployment = ledger.read(name) if name in ledger.names() else None
    return wanted(model, resolved, deployment if deployment and deployment.target == TARGET else None)


def _expect_same_place(found: Wanted, ledger: Ledger) -> None:
    """Refuse to leave a service behind that goes on answering, and costing, somewhere else.

    Raises:
        ConfigError: The deployment of this name is in another project or region.
    """
    deployment = ledger.read(found.name) if found.name in ledger.names() else None
    if deployment is None or deployment.target != TARGET or deployment.live is None or deployment.current is None:
        return
    before, after = deployment.current.config, found.config
    if before.get("emulator"):  # what was deployed to stand-ins has ended with them
        return
    if (before.get("project"), before.get("region"), None) != (after.project, after.region, after.emulator):
        raise ConfigError(
            f"`{found.name}` is in service in {before.get('project')}, {before.get('region')}",
            hint=f"choose another name with `service=`, or `mltool deploy stop {found.name}` first",
        )


def _warn_of_cost(found: Wanted) -> None:
    num = found.config.min_instances
    if num and not found.config.emulator:
        what = "an instance" if num == 1 else f"{num} instances"
        events.warning(
            f"{what} will run, and cost, around the clock; `min_instances=0` starts them when they are asked"
        )
