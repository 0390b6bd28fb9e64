"""What the image is built from, packed: the same model gives the same bytes, whenever and wherever that is."""

from __future__ import annotations

import gzip
import tarfile
from dataclasses import dataclass
from pathlib import Path

from mltool.artifacts import digest
from mltool.stages.deploy import image
from mltool.stages.deploy.gcp.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Source:
    """A packed build context; `digest` names the object in the bucket, the build and the tag of the image."""

    path: Path
    digest: str

    @property
    def mark(self) -> str:
        return f"source-{self.digest[:32]}"


def packed(wanted: Wanted, folder: Path) -> Source:
    """Write the build context of a model and pack it into `folder`.

    Only what the image is made of is in there: files of the project, and so its secrets, are not.
    """
    context = folder / "context"
    image.write_context(wanted.model, wanted.docker, context)
    path = folder / "source.tgz"
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packer,
        tarfile.open(fileobj=packer, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in digest.files_below(context):
            archive.add(context / name, name, recursive=False, filter=_plain)
    return Source(path, digest.of_file(path))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without whose it is and when it was written."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
