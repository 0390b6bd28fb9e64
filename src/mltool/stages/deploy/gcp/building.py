"""From a model to an image in the registry: nothing is uploaded or built twice."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import RemoteError
from mltool.integrations.google import build, registry, storage
from mltool.integrations.google.build import Build
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import AGAIN
from mltool.stages.deploy.gcp.journal import Journal
from mltool.stages.deploy.gcp.preflight import Standing
from mltool.stages.deploy.gcp.source import Source, packed
from mltool.stages.deploy.gcp.wanted import Wanted

_QUEUE_S = 900.0
"""How long a build may wait before it begins."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the registry; `build_id` is None if it was there already."""

    digest: str
    build_id: str | None


def built(cloud: Cloud, wanted: Wanted, standing: Standing, journal: Journal, store: Store) -> Built:
    """The image of a model: the one that is there, or the one that is being built, or a new one.

    Raises:
        RemoteError: A call failed, or the build did.
    """
    config = wanted.config
    with store.scratch() as folder:
        source = packed(wanted, folder)
        if not standing.has_repository:
            with journal.making(repository=config.repository):
                registry.make_repository(cloud, config.repository)
        # First what runs, then what is there: a build that ends in between is seen in one of them.
        running = build.find_build(cloud, source.mark)
        if running is None:
            found = registry.find_digest(cloud, config.repository, wanted.package, source.mark)
            if found is not None:
                events.info("the image of this model is in the registry already")
                return Built(found, journal.known.get("build"))
            running = _begun(cloud, wanted, standing, journal, source)
    journal.note(build=running.id)
    events.info(f"the log of the build is at {running.log_url}")
    return Built(_awaited(cloud, wanted, running, journal), running.id)


def _begun(cloud: Cloud, wanted: Wanted, standing: Standing, journal: Journal, source: Source) -> Build:
    config = wanted.config
    bucket, name = str(config.bucket), f"source/{wanted.package}-{source.digest}.tgz"
    if not standing.has_bucket:
        with journal.making(bucket=bucket):
            storage.make_bucket(cloud, bucket)
    else:
        journal.note(bucket=bucket)
    address = f"gs://{bucket}/{name}"
    stored = storage.find_object(cloud, bucket, name, source.path)
    if stored is None:
        num_bytes = source.path.stat().st_size
        with journal.making(object=address), events.track("upload", num_bytes, "bytes") as tracker:
            stored = storage.upload(cloud, bucket, name, source.path)
            tracker.advance(num_bytes)
    else:
        journal.note(object=address)
    with journal.making(build=f"with the tag {source.mark}"):  # its number replaces that as soon as it is known
        return build.start_build(
            cloud,
            stored,
            f"{wanted.address}:{source.mark}",
            source.mark,
            timeout_s=config.build_timeout_s,
            service_account=config.build_service_account,
        )


def _awaited(cloud: Cloud, wanted: Wanted, running: Build, journal: Journal) -> str:
    """The digest of the image, once it is built.

    Raises:
        RemoteError: The build failed, or takes longer than it may.
    """
    started, limit_s = time.monotonic(), wanted.config.build_timeout_s + _QUEUE_S
    with events.track("build the image", None, "s") as tracker:
        while not running.is_done:
            if time.monotonic() - started > limit_s:
                raise RemoteError(f"the build `{running.id}` is not done after {limit_s:.0f} s", hint=AGAIN)
            time.sleep(cloud.poll_s)
            running = build.read_build(cloud, running.id)
            tracker.advance(round(time.monotonic() - started) - tracker.done, "waits" if running.is_waiting else "runs")
    if running.digest is None:
        why = running.problem or "it made no image"
        journal.failed(f"the build failed: {why}")
        raise RemoteError(f"the build `{running.id}` failed: {why}", hint=f"its log is at {running.log_url}")
    return running.digest
