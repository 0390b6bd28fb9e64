"""The images that builds have pushed, by tag and by digest."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from mltool.artifacts import digest
from mltool.integrations.google.standins.refusals import not_found

_REFERENCE = re.compile(
    r"(?P<name>[a-z0-9-]+-docker\.pkg\.dev/[^/]+/(?P<repository>[^/]+)/[a-z0-9._/-]+)"
    r"(:(?P<tag>[\w][\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Image:
    """What was pushed. The digest is that of what it was built from, which a container engine would not say."""

    digest: str
    context: Path
    dockerfile: str


class Images:
    """Everything that was pushed.

    Args:
        folder: Where build contexts are kept; there is one folder for each digest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._repositories: set[str] = set()
        self._by_digest: dict[str, Image] = {}
        self._by_tag: dict[str, str] = {}

    def add_repository(self, address: str) -> None:
        with self._lock:
            self._repositories.add(address)

    def remove_repository(self, address: str) -> None:
        with self._lock:
            self._repositories.discard(address)
            self._by_tag = {tag: one for tag, one in self._by_tag.items() if not tag.startswith(f"{address}/")}
            self._by_digest = {name: one for name, one in self._by_digest.items() if not name.startswith(f"{address}/")}

    def push(self, reference: str, context: Path, dockerfile: str) -> Image:
        """Keep what was built under the name that the build gives it.

        Raises:
            ValueError: The name is none, or its repository is not there.
        """
        found = _REFERENCE.fullmatch(reference)
        if found is None or found["digest"]:
            raise ValueError(f'invalid argument "{reference}" for "-t, --tag" flag: invalid reference format')
        with self._lock:
            if not any(reference.startswith(f"{one}/") for one in self._repositories):
                raise ValueError(
                    f'name unknown: Repository "{found["repository"]}" not found; the push of {reference} was refused'
                )
        image = Image(*self._stored(context), dockerfile)
        with self._lock:
            self._by_digest[f"{found['name']}@{image.digest}"] = image
            self._by_tag[f"{found['name']}:{found['tag'] or 'latest'}"] = f"{found['name']}@{image.digest}"
        return image

    def _stored(self, context: Path) -> tuple[str, Path]:
        """The digest of a context, and where it is kept."""
        name = digest_of(context)
        target = self.folder / name.removeprefix("sha256:")
        if not target.exists():
            staged = self.folder / f".{uuid.uuid4().hex}.tmp"
            shutil.copytree(context, staged, symlinks=True)
            with self._lock:
                if target.exists():  # another build was faster
                    shutil.rmtree(staged)
                else:
                    staged.rename(target)
        return name, target

    def find(self, reference: str) -> Image:
        """The image of a reference.

        Raises:
            RefusalError: There is none.
        """
        found = _REFERENCE.fullmatch(reference)
        with self._lock:
            if found and found["digest"]:
                name = f"{found['name']}@{found['digest']}"
            else:
                tag = f"{found['name']}:{found['tag'] or 'latest'}" if found else reference
                name = self._by_tag.get(tag, "")
            if name not in self._by_digest:
                raise not_found(f"Image '{reference}' not found.")
            return self._by_digest[name]


def digest_of(folder: Path) -> str:
    """Of the names, the contents, and whether they may be run, of all files below a folder."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        whole.update(f"{name}\0{digest.of_file(path)}\0{bool(path.stat().st_mode & 0o100)}\n".encode())
    return f"sha256:{whole.hexdigest()}"
