"""A project with two models, and stand-ins of Google Cloud to deploy them to."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2
from google.cloud.devtools import cloudbuild_v1

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.standins.cloud import StandIns
from mltool.integrations.google.standins.faults import Faults
from mltool.stages.deploy.gcp.stage import Release
from small_models import linear_model

REGION = "europe-west1"


@dataclass
class Project:
    """What is at hand in a test: `linear@1` and `linear@2`, and a project of its own in the stand-ins.

    Attributes:
        said: What was said while something was deployed.
    """

    id: str
    stand_ins: StandIns
    store: Store
    first: Artifact
    second: Artifact
    num_calls_before: int
    said: list[str] = field(default_factory=list)

    @property
    def place(self) -> tuple[str, str]:
        return f"project={self.id}", f"region={REGION}"

    def deploy(self, ref: str = "linear@1", *overrides: str) -> Release:
        with events.subscribed(lambda event: self.said.append(getattr(event, "text", ""))):
            return mltool.deploy.gcp(ref, *self.place, *overrides)

    def fails_with(self, **faults: Any) -> None:
        self.stand_ins.faults = Faults(**faults)

    def works_again(self) -> None:
        self.stand_ins.faults = Faults()

    @property
    def calls(self) -> list[str]:
        return self.stand_ins.calls[self.num_calls_before :]

    @property
    def num_builds(self) -> int:
        """Those that were begun, whether or not anybody learned of it."""
        request = cloudbuild_v1.ListBuildsRequest(parent=self.cloud.parent, project_id=self.id)
        return len(list(self.cloud.client(cloudbuild_v1.CloudBuildClient).list_builds(request=request)))

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.id, REGION, self.stand_ins.grpc_endpoint)

    def service(self, name: str = "linear") -> Any:
        """As Google's client has it; None if there is none."""
        found = self.cloud.client(run_v2.ServicesClient).list_services(parent=self.cloud.parent)
        return next((one for one in found if one.name.endswith(f"/{name}")), None)

    def traffic(self) -> dict[str, int]:
        found: dict[str, int] = mltool.deploy.status("linear")["traffic"]
        return found


@contextmanager
def gcp_project(stand_ins: StandIns, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project in `folder`, which must be the current one, that finds the stand-ins by the environment."""
    patch.setenv("MLTOOL_GCP__EMULATOR", stand_ins.grpc_endpoint)
    patch.setenv("STORAGE_EMULATOR_HOST", stand_ins.storage_endpoint)
    patch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    patch.delenv("GOOGLE_CLOUD_REGION", raising=False)
    store = Store(folder / ".mltool")
    models = linear_model(store), linear_model(store, seed=3)
    project = Project(f"p-{uuid.uuid4().hex[:12]}", stand_ins, store, *models, len(stand_ins.calls))
    yield project
    stand_ins.faults = Faults()
    services = project.cloud.client(run_v2.ServicesClient)
    for service in services.list_services(parent=project.cloud.parent):  # each is a process of this machine
        services.delete_service(name=service.name)
