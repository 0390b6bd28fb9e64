"""How far a version has come, written down after every step, so that the next run goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from mltool.artifacts.checks import Check
from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.integrations.google.errors import CutOffError
from mltool.records.deployment import DeployedVersion, Live, VersionState
from mltool.records.ledger import Ledger
from mltool.stages.deploy.gcp.wanted import Wanted

TARGET = "gcp"
LISTED = ("repository", "bucket", "object", "build", "image", "service", "revision")
"""What exists in the cloud for a version, and is left there if it goes no further."""


class Journal:
    """One version of a deployment in the ledger."""

    def __init__(self, ledger: Ledger, name: str, number: int) -> None:
        self._ledger, self.name, self.number = ledger, name, number
        self._perhaps: dict[str, str] = {}

    @classmethod
    def begin(cls, ledger: Ledger, wanted: Wanted, accepted: Sequence[Check]) -> Journal:
        """Begin a version, or go on with the one that was begun, or is in service, with the same model and settings."""
        config = asdict(wanted.config)
        with ledger.locked(wanted.name, target=TARGET) as deployment:
            for version in (deployment.starting, deployment.current):
                if version and _is_same(version, wanted, config):
                    if version.state is VersionState.starting:
                        events.info(f"goes on with version {version.number} of `{wanted.name}`, which was begun before")
                    return cls(ledger, wanted.name, version.number)
            added = deployment.add_version(wanted.model, config, [check.id for check in accepted])
            deployment.note(added.number, {"project": str(wanted.config.project), "region": str(wanted.config.region)})
        return cls(ledger, wanted.name, added.number)

    @property
    def known(self) -> dict[str, str]:
        """What has been noted so far, by this run or one before."""
        return dict(self._ledger.read(self.name).version(self.number).remote)

    def note(self, **remote: str) -> None:
        """Write down what is there, or what is known."""
        with self._ledger.locked(self.name) as deployment:
            deployment.note(self.number, remote)

    @contextmanager
    def making(self, **remote: str) -> Iterator[None]:
        """Write down what the block makes, once it is made; if the network is cut meanwhile, it may be there or not."""
        try:
            yield
        except (CutOffError, KeyboardInterrupt):
            self._perhaps.update(remote)
            raise
        self.note(**remote)

    def live(self, url: str, image: str, traffic: Mapping[str, int]) -> None:
        with self._ledger.locked(self.name) as deployment:
            deployment.went_live(self.number, Live(url=url, image=image, traffic=traffic))

    def failed(self, reason: str) -> None:
        """The version cannot go on: the next run begins another one."""
        with self._ledger.locked(self.name) as deployment:
            if deployment.version(self.number).state is VersionState.starting:
                deployment.failed(self.number, reason)

    @contextmanager
    def listing_what_is_left(self) -> Iterator[None]:
        """If the block ends early, say what stays in the cloud."""
        try:
            yield
        except (MltoolError, KeyboardInterrupt):
            known = self.known
            left = [f"{key} `{known[key]}`" for key in LISTED if key in known]
            left += [f"perhaps {key} `{value}`" for key, value in self._perhaps.items()]
            if left:
                events.warning(f"left in the project: {', '.join(left)}")
            raise


def _is_same(version: DeployedVersion, wanted: Wanted, config: dict[str, object]) -> bool:
    is_open = version.state in (VersionState.starting, VersionState.live)
    return is_open and version.model_digest == wanted.model.digest and dict(version.config) == config
