"""From an image to a revision that answers: it is asked before it gets any traffic, and what answered before stays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mltool.artifacts.checks import Check, any_failed
from mltool.core import events
from mltool.core.errors import CheckError, ConfigError, RemoteError
from mltool.integrations.google import run
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import AGAIN, ConflictError
from mltool.integrations.google.identity import identity_token
from mltool.integrations.google.run_messages import Revision, Service, Share, Template
from mltool.stages.deploy import image
from mltool.stages.deploy.asking import compared_answers, in_words, status_of
from mltool.stages.deploy.gcp.journal import Journal
from mltool.stages.deploy.gcp.service import (
    TRIAL,
    await_operation,
    expect_managed,
    moved,
    serving_shares,
    settled,
    tags_of_others,
    traffic_of,
    unchanged,
)
from mltool.stages.deploy.gcp.wanted import MANAGED, Wanted, revision_name

_ANSWER_S = 60.0
"""How long a URL that is new may take until it leads to its revision."""


@dataclass(frozen=True, slots=True)
class RolledOut:
    """A revision that answers."""

    revision: str
    url: str
    traffic: dict[str, int]
    check: Check


def roll_out(cloud: Cloud, wanted: Wanted, image_digest: str, journal: Journal) -> RolledOut:
    """Make the revision, ask it, give it its traffic, and let those ask it who may.

    Raises:
        CheckError: It answers otherwise than the model did; it gets no traffic.
        RemoteError: It does not start, a call failed, or somebody else changed the service.
    """
    before = settled(cloud, wanted.name, journal)
    expect_managed(before, cloud)
    template = wanted.template(image_digest)
    trial, revision = _on_trial(cloud, wanted, before, template, journal)
    check = _asked(cloud, wanted, trial, revision)
    if any_failed([check]):
        _give_up(cloud, wanted, trial, revision, check, journal)
    after = _with_traffic(cloud, wanted, trial, revision, journal)
    journal.live(after.url, template.image, traffic_of(after))
    # Looked up now, since a build may lie between; last of all, and the next run sets it if this one cannot.
    if run.is_public(cloud, wanted.name) != wanted.config.public:
        run.set_public(cloud, wanted.name, public=wanted.config.public)
    return RolledOut(revision, after.url, traffic_of(after), check)


def _url_of(service: Service, revision: str) -> str:
    """Where a revision is asked: at its tag, or as the service if it is the only one."""
    return next((one.url for one in service.shares if one.revision == revision and one.url), service.url)


def pick_revision(base: str, revisions: Sequence[Revision]) -> tuple[str, bool]:
    """The name for a revision, and whether it is there and has started; one that did not start is tried again."""
    known = {revision.name: revision for revision in revisions}
    name, attempt = base, 1
    while name in known and not known[name].is_ready:
        attempt += 1
        name = f"{base}-{attempt}"
    return name, name in known


def _on_trial(
    cloud: Cloud, wanted: Wanted, before: Service | None, template: Template, journal: Journal
) -> tuple[Service, str]:
    """The service with the revision that is wanted, ready, and where it can be asked; and the name of that revision."""
    base, config = revision_name(wanted.name, template), wanted.config
    instances = (config.min_instances, config.max_instances)
    revision, is_there = pick_revision(base, run.revisions_of(cloud, wanted.name) if before else ())
    serving = serving_shares(before) if before else []
    if config.traffic_percent < 100 and not [share for share in serving if share.revision != revision]:
        raise ConfigError(
            f"`gcp.traffic_percent={config.traffic_percent}`: nothing else answers as `{wanted.name}` that could "
            "keep the rest",
            hint="leave it out the first time",
        )
    if before is None:
        first = [Share(revision=revision, percent=100, tag=TRIAL)]
        with journal.making(service=wanted.name, revision=revision):
            operation = run.make_service(
                cloud, wanted.name, template, revision=revision, shares=first, instances=instances, labels=MANAGED
            )
    elif is_there and _is_as_wanted(before, wanted, revision):
        journal.note(revision=revision)
        return before, revision
    else:
        trial = Share(revision=revision, percent=0 if serving else 100, tag=TRIAL)
        journal.note(service=wanted.name)
        with journal.making(revision=revision):
            operation = run.change_service(
                cloud,
                before,
                shares=[*serving, *tags_of_others(before), trial],
                template=None if is_there else template,
                revision=revision,
                instances=instances,
            )
    journal.note(operation=operation)
    problem = await_operation(cloud, wanted.name, operation)
    after = settled(cloud, wanted.name)
    if after is None or not (is_there or after.latest == revision):
        if problem:
            raise RemoteError(f"the service `{wanted.name}` was not changed: {problem}", hint=AGAIN)
        raise ConflictError(f"somebody else changed the service `{wanted.name}` at the same time", hint=AGAIN)
    if not is_there and after.ready != revision:
        _say_why_not_started(cloud, wanted, after, revision, journal)
    return after, revision


def _is_as_wanted(service: Service, wanted: Wanted, revision: str) -> bool:
    """Whether nothing is left to change: a revision answers alone, and as often as it may."""
    config = wanted.config
    return (
        traffic_of(service) == {revision: config.traffic_percent}
        and (service.min_instances, service.max_instances) == (config.min_instances, config.max_instances)
        and not any(share.tag == TRIAL for share in service.shares)
        and not service.problem
    )


def _say_why_not_started(cloud: Cloud, wanted: Wanted, service: Service, revision: str, journal: Journal) -> None:
    """Raises: RemoteError: Always; with what Cloud Run says."""
    made = next((one for one in run.revisions_of(cloud, wanted.name) if one.name == revision), None)
    why = (made.problem if made else "") or service.problem or "Cloud Run does not say why"
    journal.failed(f"it did not start: {why}")
    keeps = f"`{', '.join(traffic_of(service))}` keeps the traffic" if _others(service, revision) else "nothing answers"
    raise RemoteError(
        f"the revision `{revision}` does not start, and {keeps}: {why}",
        hint=f"its log: {made.log_url}" if made and made.log_url else f"`{log_command(wanted)}`",
    )


def _others(service: Service, revision: str) -> list[Share]:
    return [share for share in serving_shares(service) if share.revision != revision]


def _asked(cloud: Cloud, wanted: Wanted, trial: Service, revision: str) -> Check:
    """Whether a revision gives the model's samples the answers that are recorded beside them."""
    url = _url_of(trial, revision)
    # For the service, also where its tag is asked.
    headers = {"Authorization": f"Bearer {identity_token(cloud, trial.url)}"}
    started = time.monotonic()
    with events.track(f"ask {revision}", None, "s"):
        while (status := status_of(url, headers)) != 200 and time.monotonic() - started < _ANSWER_S:
            unchanged(cloud, trial)  # which would be why it never gets ready
            time.sleep(cloud.poll_s)
        if status in (401, 403):
            place = f"--project={cloud.project} --region={cloud.region}"
            raise RemoteError(
                f"the revision `{revision}` is ready, but you may not ask it, so it gets no traffic yet",
                hint=f"`gcloud run services add-iam-policy-binding {wanted.name} {place} --member={cloud.member} "
                f"--role={run.INVOKER}`",
            )
        try:
            return compared_answers(url, image.served_name(wanted.model)[0], wanted.model, headers)
        except OSError as error:
            raise RemoteError(
                f"the revision `{revision}` could not be asked, so it gets no traffic yet: {error}", hint=AGAIN
            ) from error


def _give_up(cloud: Cloud, wanted: Wanted, trial: Service, revision: str, check: Check, journal: Journal) -> None:
    """Take the URL of a revision that answers wrongly away.

    Raises:
        CheckError: Always, but for
        ConflictError: somebody else has changed the service meanwhile, which may be why.
    """
    trial, others = unchanged(cloud, trial), _others(trial, revision)
    if others:
        operation = run.change_service(cloud, trial, shares=[*serving_shares(trial), *tags_of_others(trial)])
        await_operation(cloud, wanted.name, operation)
        keeps = f"`{', '.join(share.revision for share in others)}` keeps the traffic"
    else:
        keeps = f"it is the only one: `mltool deploy stop {wanted.name}` takes it away"
    journal.failed(f"it answers otherwise than the model: {in_words(check)}")
    raise CheckError(
        f"the revision `{revision}` answers otherwise than `{wanted.model.label}`: {in_words(check)}; {keeps}",
        hint=f"its log: `{log_command(wanted)}`",
    )


def _with_traffic(cloud: Cloud, wanted: Wanted, trial: Service, revision: str, journal: Journal) -> Service:
    if _is_as_wanted(trial, wanted, revision):
        return trial
    percent, others = wanted.config.traffic_percent, _others(trial, revision)
    shares = [Share(revision=revision, percent=percent)]
    if percent < 100:
        shares += shared_out(100 - percent, others)
    return moved(cloud, unchanged(cloud, trial), shares, journal)


def shared_out(percent: int, among: Sequence[Share]) -> list[Share]:
    """So much of the traffic, in the proportions that there were, by largest remainders; who would get none is out."""
    whole = sum(share.percent for share in among)
    exact = {share.revision: percent * share.percent / whole for share in among}
    parts = {revision: int(part) for revision, part in exact.items()}
    by_remainder = sorted(exact, key=lambda revision: parts[revision] - exact[revision])
    for revision in by_remainder[: percent - sum(parts.values())]:
        parts[revision] += 1
    return [Share(revision=revision, percent=part) for revision, part in parts.items() if part]


def log_command(wanted: Wanted) -> str:
    config = wanted.config
    return f"gcloud run services logs read {wanted.name} --project={config.project} --region={config.region}"
