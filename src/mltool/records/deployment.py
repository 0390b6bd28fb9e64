"""A deployment: the models that were put into service under one name, and which of them answers now."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from mltool.artifacts.artifact import Artifact

SCHEMA_VERSION = 1


class VersionState(StrEnum):
    starting = "starting"
    live = "live"
    replaced = "replaced"
    failed = "failed"
    stopped = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedVersion:
    """One model that was deployed.

    Attributes:
        model_ref: The reference it had then, such as `digits@3`.
        reason: Why it is in this state, where that is worth a word.
        live_utc: When it first answered.
        replaces: The version that was current before that, which is where a rollback leads.
        remote: What it is called where it runs, and how far an unfinished one has come, such as `revision` and `image`.
    """

    number: int
    model_ref: str | None
    model_digest: str
    model_path: str
    time_utc: str
    config: Mapping[str, Any]
    accepted_failed_checks: tuple[str, ...] = ()
    state: VersionState = VersionState.starting
    reason: str = ""
    live_utc: str | None = None
    replaces: int | None = None
    remote: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Where the current version runs.

    Attributes:
        process: `core.processes.identity` of `pid`, because the number may belong to another process by now.
        image: The container image it was started from.
        container: What the container engine calls it.
        traffic: Percent by revision when that was last changed from here, where several can answer at once.
    """

    pid: int | None = None
    process: str | None = None
    host: str | None = None
    port: int | None = None
    url: str | None = None
    image: str | None = None
    container: str | None = None
    traffic: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history.

    Attributes:
        event: `start`, `deploy`, `rollback`, `restart`, `stop`, `failed`, `worker_died`, or what else a target tells.
        version: The version that it happened to.
    """

    time_utc: str
    event: str
    version: int | None
    detail: str = ""


@dataclass(slots=True)
class Deployment:
    """What `deployment.json` holds; changed only inside `Ledger.locked`, which writes it.

    Attributes:
        target: Where it runs: `local`, `gcp`.
        versions: All of them, oldest first; none is ever taken out.
        current_number: The version that answers, or answered last.
        live: None while nothing runs.
        new_events: What happened since it was read; the ledger appends them to the history.
    """

    name: str
    target: str
    versions: list[DeployedVersion] = field(default_factory=list)
    current_number: int | None = None
    live: Live | None = None
    new_events: list[Event] = field(default_factory=list, compare=False, repr=False)

    @property
    def current(self) -> DeployedVersion | None:
        return None if self.current_number is None else self.version(self.current_number)

    @property
    def starting(self) -> DeployedVersion | None:
        """The version that is to answer next."""
        return next((version for version in self.versions if version.state is VersionState.starting), None)

    def version(self, number: int) -> DeployedVersion:
        return next(version for version in self.versions if version.number == number)

    def previous(self) -> DeployedVersion | None:
        """Where a rollback leads: what answered before the current version was deployed, without those that failed.

        After a rollback it is one step further back, whatever was deployed and given up in between. Where versions
        have revisions, it is one with another revision than the current version has: a share of the traffic and all of
        it are two versions of one revision. None leads behind a stop, which deletes all revisions.
        """
        current = self.current
        if current is None or "revision" not in current.remote:
            return next(iter(self._earlier()), None)
        for version in (current, *self._earlier()):
            if version.state is VersionState.stopped:
                break
            if version.remote.get("revision") != current.remote["revision"]:
                return version
        return None

    def add_version(
        self, model: Artifact, config: Mapping[str, Any], accepted_failed_checks: Sequence[str] = ()
    ) -> DeployedVersion:
        """Begin to deploy a model; an attempt that was never finished counts as failed."""
        self._give_up_unfinished()
        added = DeployedVersion(
            number=len(self.versions) + 1,
            model_ref=model.ref,
            model_digest=model.digest,
            model_path=str(model.path),
            time_utc=_now_utc(),
            config=dict(config),
            accepted_failed_checks=tuple(accepted_failed_checks),
        )
        self.versions.append(added)
        self.record("start", added.number, model.label)
        return added

    def begin_again(self, number: int) -> None:
        """Begin to bring back a version that has answered before."""
        self._give_up_unfinished()
        self._change(number, state=VersionState.starting, reason="")

    def _give_up_unfinished(self) -> None:
        for version in self.versions:
            if version.state is VersionState.starting:
                self.failed(version.number, "it was given up before it answered")

    def went_live(self, number: int, live: Live) -> None:
        """A version answers: for the first time, once more after a stop, or again after a rollback."""
        version, current = self.version(number), self.current
        is_new = version.live_utc is None
        if current is not None and current.number != number and current.state is VersionState.live:
            self._change(current.number, state=VersionState.replaced)
        self._change(number, state=VersionState.live, reason="")
        if is_new:
            self._change(number, live_utc=_now_utc(), replaces=self.current_number)
        event = "deploy" if is_new else "restart" if number == self.current_number else "rollback"
        self.current_number, self.live = number, live
        self.record(event, number, live.url or "")

    def note(self, number: int, remote: Mapping[str, str]) -> None:
        """Remember what a version is called where it runs, beside what is known already."""
        self._change(number, remote={**self.version(number).remote, **remote})

    def failed(self, number: int, reason: str) -> None:
        """A version did not start, or does not answer any more."""
        self._change(number, state=VersionState.failed, reason=reason)
        if number == self.current_number or self.current_number is None:
            self.live = None
        self.record("failed", number, reason)

    def stopped(self, reason: str = "") -> None:
        """Nothing answers any more, because somebody wanted that."""
        for version in self.versions:
            if version.state in (VersionState.starting, VersionState.live):
                self._change(version.number, state=VersionState.stopped, reason=reason)
        self.live = None
        self.record("stop", self.current_number, reason)

    def record(self, event: str, number: int | None, detail: str = "") -> None:
        """Have something written to the history that changes nothing else."""
        self.new_events.append(Event(_now_utc(), event, number, detail))

    def in_use(self) -> list[DeployedVersion]:
        """The versions that answer or are about to, and, unless it was stopped, the one that a rollback leads to."""
        busy = [v for v in self.versions if v.state in (VersionState.starting, VersionState.live)]
        previous, current = self.previous(), self.current
        is_stopped = current is not None and current.state is VersionState.stopped
        return busy if previous is None or is_stopped else [*busy, previous]

    def returnable(self) -> list[DeployedVersion]:
        """The versions that may answer again: the current one, those starting, and all that rollbacks lead to."""
        current = self.current
        starting = [v for v in self.versions if v.state is VersionState.starting]
        return [*starting, *([current] if current else []), *self._earlier()]

    def _earlier(self) -> list[DeployedVersion]:
        found: list[DeployedVersion] = []
        version = self.current
        for _ in self.versions:  # and no longer, even if somebody edited a circle into the file
            if version is None or version.replaces is None:
                break
            version = self.version(version.replaces)
            found += [] if version.state is VersionState.failed else [version]
        return found

    def _change(self, number: int, **changes: Any) -> None:
        self.versions = [replace(v, **changes) if v.number == number else v for v in self.versions]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "target": self.target,
            "current_number": self.current_number,
            "live": None if self.live is None else asdict(self.live),
            "versions": [asdict(version) for version in self.versions],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deployment:
        """What `to_json` wrote.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: It is something else.
        """
        versions = [_version(entry) for entry in data["versions"]]
        live = None if data["live"] is None else Live(**data["live"])
        made = cls(data["name"], data["target"], versions, data["current_number"], live)
        if [version.number for version in versions] != list(range(1, len(versions) + 1)):
            raise ValueError("its versions are not numbered from 1 on")
        for number in (made.current_number, *(version.replaces for version in versions)):
            if number is not None and not 0 < number <= len(versions):
                raise ValueError(f"it names a version {number}")
        return made


def _version(entry: Mapping[str, Any]) -> DeployedVersion:
    plain = DeployedVersion(**entry)
    texts = (plain.model_digest, plain.model_path, plain.time_utc, plain.reason)
    mappings = (plain.config, plain.remote)
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(one, Mapping) for one in mappings):
        raise TypeError("a version has a value of another type")
    accepted = tuple(str(check) for check in plain.accepted_failed_checks)
    return replace(plain, state=VersionState(plain.state), accepted_failed_checks=accepted)


def _now_utc() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
