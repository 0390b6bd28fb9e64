"""Cloud Build: from an archive in a bucket to an image in a repository."""

from __future__ import annotations

import base64
import io
import re
import tarfile
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.cloud.devtools import cloudbuild_v1
from google.longrunning import operations_pb2

from mltool.integrations.google.standins.checking import parts_of
from mltool.integrations.google.standins.dockerfile import DockerfileError
from mltool.integrations.google.standins.faults import Calls
from mltool.integrations.google.standins.images import Images
from mltool.integrations.google.standins.operations import Operations
from mltool.integrations.google.standins.refusals import Code, RefusalError, invalid, not_found
from mltool.integrations.google.standins.runners import Runner
from mltool.integrations.google.standins.times import now

Build = cloudbuild_v1.Build
_BUILDERS = ("gcr.io/cloud-builders/docker",)
_LOGGING_OF_OWN_ACCOUNT = (
    cloudbuild_v1.BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY,
    cloudbuild_v1.BuildOptions.LoggingMode.NONE,
)
_FILTERED = re.compile(r'(tags|status)="[^"]+"|\bAND\b|\bOR\b|[()]')
_MAX_BYTES = 16 << 30


_QUEUED: Any = Build.Status.QUEUED
_CANCELLED: Any = Build.Status.CANCELLED


class BuildFailureError(Exception):
    """A step of a build that ends with an error; the text is what it says last."""


class CloudBuild:
    """Builds, one thread each.

    Args:
        read: Gives the bytes of an object in a bucket, of a generation if it is not 0; None if it is not there.
        folder: For archives while they are unpacked, and for the logs.
    """

    def __init__(
        self,
        operations: Operations,
        images: Images,
        read: Callable[[str, str, int], bytes | None],
        folder: Path,
        runner: Runner,
        calls: Calls,
    ) -> None:
        self._operations, self._images, self._read = operations, images, read
        self._folder, self._runner, self._calls = folder, runner, calls
        self.builds: dict[str, Build] = {}
        self._lock = threading.Lock()

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "CloudBuild.CreateBuild": self.create,
            "CloudBuild.GetBuild": self.get,
            "CloudBuild.ListBuilds": self.list_,
            "CloudBuild.CancelBuild": self.cancel,
        }

    def create(self, request: Any) -> operations_pb2.Operation:
        request = cloudbuild_v1.CreateBuildRequest.wrap(request)
        project, location = parts_of(request.parent) if request.parent else (request.project_id, "global")
        if not project or (request.project_id and request.project_id != project):
            raise invalid(f"project_id `{request.project_id}` must be the project of parent `{request.parent}`")
        build = Build(request.build)
        _check(build)
        build.id = str(uuid.uuid4())
        build.name = f"projects/{project}/locations/{location}/builds/{build.id}"
        build.project_id, build.create_time = project, now()
        build.status = _QUEUED
        log = self._folder / "logs" / f"{build.id}.txt"
        build.log_url = log.as_uri()
        with self._lock:
            self.builds[build.name] = build
        name = None
        if location == "global":
            name = f"operations/build/{project}/{base64.urlsafe_b64encode(build.id.encode()).decode()}"
        return self._operations.start(
            f"projects/{project}/locations/{location}",
            lambda: self._run(build, log),
            lambda: cloudbuild_v1.BuildOperationMetadata.pb(
                cloudbuild_v1.BuildOperationMetadata(build=self._copy(build))
            ),
            name=name,
        )

    def get(self, request: Any) -> Any:
        name = request.name or f"projects/{request.project_id}/locations/global/builds/{request.id}"
        with self._lock:
            known = self.builds.get(name)
        if known is None:
            raise not_found("Requested entity was not found.")
        return Build.pb(self._copy(known))

    def list_(self, request: Any) -> Any:
        parent = request.parent or f"projects/{request.project_id}/locations/global"
        with self._lock:
            below = [Build(one) for name, one in self.builds.items() if name.startswith(f"{parent}/")]
        found = [one for one in below if _fits(one, request.filter)]
        return cloudbuild_v1.ListBuildsResponse.pb(cloudbuild_v1.ListBuildsResponse(builds=found[::-1]))

    def cancel(self, request: Any) -> Any:
        known = self.get(request)
        with self._lock:
            build = self.builds[known.name]
            if build.status in (Build.Status.QUEUED, Build.Status.WORKING):
                build.finish_time = now()
                build.status = _CANCELLED
            return Build.pb(Build(build))

    def _copy(self, build: Build) -> Build:
        with self._lock:
            return Build(build)

    def _run(self, build: Build, log: Path) -> Any:
        self._set(build, status=Build.Status.WORKING, start_time=now())
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("w", encoding="utf-8") as stream, tempfile.TemporaryDirectory(dir=self._folder) as folder:
                results = self._built(build, Path(folder) / "workspace", lambda line: stream.write(f"{line}\n"))
        except BuildFailureError as failure:
            with log.open("a", encoding="utf-8") as stream:
                stream.write(f"ERROR\nERROR: {failure}\n")
            kind = Build.FailureInfo.FailureType.USER_BUILD_STEP
            self._set(
                build,
                status=Build.Status.FAILURE,
                finish_time=now(),
                failure_info=Build.FailureInfo(type_=kind, detail=str(failure)),
                status_detail=str(failure),
            )
            raise RefusalError(Code.UNKNOWN, "Build failed; check build logs for details") from failure
        self._set(build, status=Build.Status.SUCCESS, finish_time=now(), results=results)
        return Build.pb(self._copy(build))

    def _set(self, build: Build, **values: Any) -> None:
        """Raises: RefusalError: The build was cancelled meanwhile."""
        with self._lock:
            if build.status == Build.Status.CANCELLED:
                raise RefusalError(Code.CANCELLED, "Build cancelled")
            for name, value in values.items():
                setattr(build, name, value)

    def _built(self, build: Build, workspace: Path, say: Callable[[str], Any]) -> cloudbuild_v1.Results:
        source = build.source.storage_source
        say(f"FETCHSOURCE\nFetching storage object: gs://{source.bucket}/{source.object_}")
        archive = self._read(source.bucket, source.object_, source.generation)
        if archive is None:
            raise BuildFailureError(
                f"could not resolve source: object not found: gs://{source.bucket}/{source.object_}"
            )
        _unpack(archive, workspace)
        if self._calls.faults.build_failure:
            raise BuildFailureError(self._calls.faults.build_failure)
        tags: dict[str, tuple[Path, str]] = {}
        for index, step in enumerate(build.steps):
            say(f"Starting Step #{index}\nStep #{index}: {step.name} {' '.join(step.args)}")
            try:
                tags |= self._docker_build(step, workspace)
            except DockerfileError as error:
                say(f"Step #{index}: {error}")
                raise BuildFailureError(
                    f'build step {index} "{step.name}" failed: step exited with non-zero status: 1: {error}'
                ) from error
        return self._pushed(build, tags, say)

    def _docker_build(self, step: cloudbuild_v1.BuildStep, workspace: Path) -> dict[str, tuple[Path, str]]:
        """What a step tags: its context, and its Dockerfile in there.

        Raises:
            DockerfileError: It stops.
        """
        context, dockerfile, tags = _arguments(step, workspace)
        self._runner.build(context, dockerfile)
        return dict.fromkeys(tags, (context, dockerfile))

    def _pushed(
        self, build: Build, tags: dict[str, tuple[Path, str]], say: Callable[[str], Any]
    ) -> cloudbuild_v1.Results:
        absent = [name for name in build.images if name not in tags]
        if absent:
            raise BuildFailureError(f"failed to find one or more images after execution of build steps: {absent}")
        pushed = []
        for name in build.images:
            say(f"PUSH\nPushing {name}")
            try:
                image = self._images.push(name, *tags[name])
            except ValueError as error:
                raise BuildFailureError(f"retry budget exhausted: Error pushing {name}: {error}") from error
            pushed.append(cloudbuild_v1.BuiltImage(name=name, digest=image.digest))
            say(f"{name}: digest: {image.digest}")
        say("DONE")
        return cloudbuild_v1.Results(images=pushed)


def _fits(build: Build, wanted: str) -> bool:
    """Whether a filter of tags and states lets a build through; every other one is refused."""
    if _FILTERED.sub("", wanted).strip():
        raise invalid(f"invalid filter `{wanted}`: this stand-in knows tags and status, joined by AND and OR")
    tags, states = re.findall(r'tags="([^"]+)"', wanted), re.findall(r'status="([^"]+)"', wanted)
    return set(tags) <= set(build.tags) and (not states or build.status.name in states)


def _check(build: Build) -> None:
    """Raises: RefusalError: A build that Cloud Build does not even begin."""
    if not build.steps:
        raise invalid("invalid build: build must have at least one build step")
    source = build.source.storage_source
    if not (source.bucket and source.object_):
        raise invalid("invalid build: this stand-in builds from source.storage_source, with a bucket and an object")
    for step in build.steps:
        if step.name.partition(":")[0] not in _BUILDERS:
            raise invalid(f"invalid build: this stand-in has no builder `{step.name}`, only {', '.join(_BUILDERS)}")
    if build.service_account and not (build.logs_bucket or build.options.logging in _LOGGING_OF_OWN_ACCOUNT):
        raise invalid(
            "invalid build: if 'build.service_account' is specified, the build must either (a) specify "
            "'build.logs_bucket', (b) use the REGIONAL_USER_OWNED_BUCKET build.options.default_logs_bucket_behavior "
            "option, or (c) use either CLOUD_LOGGING_ONLY / NONE logging options"
        )
    if build.timeout is not None and build.timeout.total_seconds() > 24 * 3600:
        raise invalid("invalid build: invalid timeout: must be at most 24h")


def _unpack(archive: bytes, folder: Path) -> None:
    """Unpack a gzipped tar; nothing leaves the folder, whatever its names and links say.

    Raises:
        BuildFailureError: It is none, or something in it points out of the folder.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            if sum(member.size for member in tar) > _MAX_BYTES:
                raise BuildFailureError("error fetching source: the archive is too large")
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BuildFailureError(f"error fetching source: error un-tarring source: {error}") from error


def _arguments(step: cloudbuild_v1.BuildStep, workspace: Path) -> tuple[Path, str, list[str]]:
    """The context, the Dockerfile in there and the tags that `docker build` is told.

    Raises:
        DockerfileError: It would stop.
    """
    command, *words = list(step.args) or [""]
    if command != "build":
        raise DockerfileError(f"this stand-in knows `docker build`, not `docker {command}`")
    tags, file, rest = [], "Dockerfile", []
    options = iter(words)
    for word in options:
        name, has_value, value = word.partition("=")
        if name in ("-t", "--tag"):
            tags.append(value if has_value else next(options, ""))
        elif name in ("-f", "--file"):
            file = value if has_value else next(options, "")
        elif not word.startswith("-"):
            rest.append(word)
    if len(rest) != 1:
        raise DockerfileError('"docker build" requires exactly 1 argument')
    context = (workspace / step.dir_ / rest[0]).resolve()
    if not context.is_relative_to(workspace.resolve()) or not context.is_dir():
        raise DockerfileError(f"unable to prepare context: path {rest[0]!r} not found")
    return context, file, tags
