"""One walk of a stranger's folder: which files it holds, and their texts.

Links are not followed, and nothing but plain files is opened. What cannot be read becomes a problem of the report, and
the rest is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from mltool.stages.checklist.verdict import shown

MAX_FILES = 60_000
MAX_DEPTH = 32
MAX_OTHER_FILES_A_FOLDER = 2_000
"""Pictures and the like, of which a folder may hold millions: enough to know that they are there."""
MAX_TEXT_BYTES = 2 << 20
MAX_PROBLEMS = 200
STORE = ".mltool"
"""What mltool wrote, such as its own source in the context of an image: records, and never the work of the project."""
_RECORDS = ("artifacts", "deployments", "refs", "runs", "studies")
_SKIPPED = {
    STORE,
    ".git", "__pycache__", "node_modules", "site-packages", ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache",
    ".hypothesis", ".ipynb_checkpoints", ".idea", ".terraform", ".cache", "bower_components",
}  # fmt: skip
_SKIPPED_PATHS = {"build", "dist", "_build"}
_SKIPPED_ENDS = (".dvc/cache", ".dvc/tmp", ".egg-info", ".dist-info")
_TEXTS = {
    ".py", ".ipynb", ".toml", ".yaml", ".yml", ".json", ".cfg", ".ini", ".txt", ".md", ".rst", ".dvc", ".lock", ".sh",
    ".tf", ".html", ".js", ".xml", ".pbtxt", ".properties", ".mk", "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    path: str
    """Below the project, with slashes."""
    size_bytes: int
    modified_s: float
    is_link: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return suffix_of(self.name)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read, and so is no evidence of anything."""

    path: str
    text: str


class Project:
    """The files of a folder; `text` reads one of them.

    Attributes:
        files: The work of the project, by path.
        records: What mltool itself recorded in `.mltool` at the top, by path; nothing of it is a source.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.files: dict[str, File] = {file.path: file for file in self._walk("")}
        self.records: dict[str, File] = {file.path: file for file in self._walk(STORE)} if self._has_store() else {}

    def _has_store(self) -> bool:
        try:
            return stat.S_ISDIR((self.root / STORE).lstat().st_mode)
        except OSError:
            return False

    def _walk(self, top: str) -> Iterator[File]:
        waiting = deque([(top, 0)])  # breadth first: what is deep is what may be left out
        num_files = 0
        while waiting:
            folder, depth = waiting.popleft()
            num_others = 0
            for entry in self._entries(folder):
                path = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if not _is_skipped(path, entry):
                            waiting.append((path, depth + 1))
                        continue
                    is_text = suffix_of(entry.name) in _TEXTS
                    num_others += not is_text
                    if not is_text and num_others > MAX_OTHER_FILES_A_FOLDER:
                        continue
                    facts = entry.stat(follow_symlinks=False)
                except OSError:  # it went away, or may not be looked at
                    continue
                if stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
                    yield File(path, facts.st_size, facts.st_mtime, stat.S_ISLNK(facts.st_mode))
                    num_files += 1
            if waiting and num_files >= MAX_FILES:
                self.report(waiting[0][0], f"not read, nor what is as deep: there are more than {MAX_FILES:,} files")
                return
            if waiting and waiting[0][1] > MAX_DEPTH:
                self.report(waiting[0][0], f"not read: it is more than {MAX_DEPTH} folders deep")
                return

    def _entries(self, folder: str) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.report(folder or ".", f"cannot be listed: {error.strerror}")
            return ()

    def report(self, path: str, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(shown(path), shown(text)))

    def bytes_of(self, path: str, at_most: int = MAX_TEXT_BYTES) -> bytes | None:
        """The content of a plain file; None, and a problem, if it cannot be read or is too large."""
        return self.bytes_at(self.root / path, path, at_most)

    def bytes_at(self, path: Path, name: str, at_most: int) -> bytes | None:
        try:
            # What was a file when it was listed may be a pipe by now: opening that must not wait for a writer.
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            self.report(name, f"cannot be read: {error.strerror}")
            return None
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                self.report(name, "is no plain file")
                return None
            if facts.st_size > at_most:
                self.report(name, f"not read: it is larger than {at_most >> 20} MiB")
                return None
            try:
                return stream.read(at_most)
            except OSError as error:
                self.report(name, f"cannot be read: {error.strerror}")
                return None

    def text(self, path: str) -> str:
        """The text of a file, with a mark for what is not UTF-8; empty if it cannot be read."""
        if path not in self._texts:
            file = self.files.get(path) or self.records.get(path)
            content = b"" if file is not None and file.is_link else self.bytes_of(path) or b""
            try:
                text = content.decode("utf-8-sig")
            except UnicodeDecodeError:
                self.report(path, "is not UTF-8")
                text = content.decode("utf-8", "replace")
            self._texts[path] = text
        return self._texts[path]

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {}

    @cached_property
    def _by_suffix(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for file in self.files.values():
            found.setdefault(file.suffix, []).append(file.path)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for file in self.files.values():
            found.setdefault(file.name, []).append(file.path)
        return found

    @cached_property
    def folders(self) -> set[str]:
        """Every folder that holds a file, however deep."""
        found: set[str] = set()
        for path in self.files:
            folder = path.rpartition("/")[0]
            while folder and folder not in found:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return found

    def with_suffix(self, *suffixes: str) -> list[str]:
        return [path for suffix in suffixes for path in self._by_suffix.get(suffix, ())]

    def named(self, *patterns: str) -> list[str]:
        """The files whose name fits; a name without `*` costs nothing."""
        found = []
        for pattern in patterns:
            if "*" in pattern:
                found += [p for name, paths in self._by_name.items() if fnmatchcase(name, pattern) for p in paths]
            else:
                found += self._by_name.get(pattern, [])
        return found

    def recorded(self, pattern: str) -> list[File]:
        """The records whose whole path below `.mltool` fits a regular expression, sorted by path."""
        fits = re.compile(f"{re.escape(STORE)}/{pattern}")
        return [file for path, file in sorted(self.records.items()) if fits.fullmatch(path)]


def suffix_of(name: str) -> str:
    """`.gz` of `a.tar.GZ`; empty for `Makefile` and `.gitignore`."""
    stem, _, end = name.rpartition(".")
    return f".{end.lower()}" if stem and end else ""


def _is_skipped(path: str, entry: os.DirEntry[str]) -> bool:
    if entry.name in _SKIPPED or path in _SKIPPED_PATHS:
        return True
    if path.endswith(_SKIPPED_ENDS):
        return True
    if path.startswith(f"{STORE}/") and path.split("/")[1] not in _RECORDS:
        return True
    return any(Path(entry.path, mark).exists() for mark in ("pyvenv.cfg", "conda-meta"))  # an environment
