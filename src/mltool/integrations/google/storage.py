"""Cloud Storage, in our words: a bucket, and objects that are written once."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core.errors import RemoteError
from mltool.integrations.google.clients import ANSWER_S, Cloud
from mltool.integrations.google.errors import AGAIN, STORAGE, explained, grant


@dataclass(frozen=True, slots=True)
class Stored:
    """An object; `generation` is which of all that ever had this name."""

    bucket: str
    name: str
    generation: int


def has_bucket(cloud: Cloud, bucket: str) -> bool:
    """Whether the project has this bucket; one that merely answers may be somebody else's trap.

    Raises:
        RemoteError: There is one of this name, and it is somebody else's.
    """
    from google.api_core.exceptions import Forbidden

    calling = {"timeout": ANSWER_S, "retry": _again(cloud)}
    with explained(cloud, STORAGE, f"look at the bucket `{bucket}`"):
        # Lists those of the project alone, whoever else lets us into theirs.
        if any(one.name == bucket for one in cloud.storage.list_buckets(prefix=bucket, **calling)):
            return True
        try:
            is_of_others = cloud.storage.lookup_bucket(bucket, **calling) is not None
        except Forbidden as error:
            raise RemoteError(
                f"no permission to look at the bucket `{bucket}`, which the project `{cloud.project}` does not have",
                hint=f"choose another name with `bucket=`, or {grant(cloud, STORAGE.role)}",
            ) from error
    if is_of_others:
        raise _of_others(cloud, bucket)
    return False


def _of_others(cloud: Cloud, bucket: str) -> RemoteError:
    return RemoteError(
        f"the bucket `{bucket}` belongs to somebody else than the project `{cloud.project}`",
        hint="choose another name with `bucket=`",
    )


def make_bucket(cloud: Cloud, bucket: str) -> None:
    """Make a bucket in the region, which nobody can make public by accident.

    Raises:
        RemoteError: It cannot be made, or somebody else has one of this name: names are the world's.
    """
    from google.api_core.exceptions import Conflict

    with explained(cloud, STORAGE, f"make the bucket `{bucket}`"):
        new = cloud.storage.bucket(bucket)
        new.iam_configuration.uniform_bucket_level_access_enabled = True
        new.iam_configuration.public_access_prevention = "enforced"
        try:
            new.create(location=cloud.region, timeout=ANSWER_S, retry=_again(cloud))
        except Conflict:
            if not has_bucket(cloud, bucket):
                raise _of_others(cloud, bucket) from None  # it was deleted meanwhile, or is not shown to us


def find_object(cloud: Cloud, bucket: str, name: str, content: Path) -> Stored | None:
    """The object of this name, if it holds what `content` holds."""
    with explained(cloud, STORAGE, f"look at `gs://{bucket}/{name}`"):
        found = cloud.storage.bucket(bucket).get_blob(name, timeout=ANSWER_S, retry=_again(cloud))
    # Compared, not believed: whoever may write to the bucket could have put another program there to be built.
    return _stored(found) if found is not None and found.md5_hash == _md5(content) else None


def upload(cloud: Cloud, bucket: str, name: str, content: Path) -> Stored:
    """Write an object; written again after the network was cut, it is the same.

    Raises:
        RemoteError: It was not written, or something else has arrived.
    """
    from google.resumable_media.common import DataCorruption

    with explained(cloud, STORAGE, f"upload `gs://{bucket}/{name}`"):
        blob = cloud.storage.bucket(bucket).blob(name)
        try:
            blob.upload_from_filename(
                str(content), content_type="application/gzip", checksum="md5", retry=_again(cloud)
            )
        except DataCorruption as error:  # which is no error of Google's API to its own packages
            raise RemoteError(f"`gs://{bucket}/{name}` arrived damaged: its digest is another", hint=AGAIN) from error
        return _stored(blob)


def _stored(blob: Any) -> Stored:
    return Stored(blob.bucket.name, blob.name, int(blob.generation or 0))


def _md5(content: Path) -> str:
    with content.open("rb") as stream:
        return base64.b64encode(hashlib.file_digest(stream, _plain_md5).digest()).decode()


def _plain_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _again(cloud: Cloud) -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(cloud.patience_s)
