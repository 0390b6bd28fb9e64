"""The history of a project: commits, people, remotes and what was pushed, out of the files of `.git`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mltool.stages.checklist.reading.git_objects import Objects, is_file

MAX_COMMITS = 2_000
_MAX_TREES = 20_000
_NAME = re.compile(r"[0-9a-f]{40}")
_SECTION = re.compile(r'^\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_AUTHOR = re.compile(r"^author (.*) <(.*)> (\d+) ", re.MULTILINE)
_BOTS = re.compile(r"\[bot\]|dependabot|github-actions|noreply@github|pre-commit-ci|copilot", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Commit:
    name: str
    tree: str
    author: str
    email: str
    parents: tuple[str, ...]

    @property
    def is_by_a_person(self) -> bool:
        return not _BOTS.search(f"{self.author} {self.email}")


class Git:
    """One repository.

    Args:
        prefix: Where the project lies below the top of the repository, with a slash; empty at the top.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder, self.prefix = folder, prefix
        common = _line(folder / "commondir")  # of a second work tree
        self._common = (folder / common) if common else folder
        self.objects = Objects(self._common / "objects")

    @classmethod
    def find(cls, project: Path) -> Git | None:
        """The repository that a folder is in; None if it is in none."""
        project = project.resolve()
        for top in (project, *project.parents):
            folder = top / ".git"
            line = _line(folder)
            if line.startswith("gitdir:"):
                folder = top / line.removeprefix("gitdir:").strip()
            if is_file(folder / "HEAD"):
                prefix = project.relative_to(top).as_posix()
                return cls(folder, "" if prefix == "." else f"{prefix}/")
        return None

    @cached_property
    def branch(self) -> str | None:
        """The branch that is checked out; None if a commit is."""
        head = _line(self.folder / "HEAD")
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None

    @cached_property
    def head(self) -> str | None:
        return self.resolve("HEAD")

    @cached_property
    def _packed(self) -> dict[str, str]:
        lines = (line.split(" ") for line in _text(self._common / "packed-refs").splitlines() if line[:1] not in "#^")
        return {parts[1]: parts[0] for parts in lines if len(parts) == 2}

    def resolve(self, ref: str) -> str | None:
        for _ in range(5):
            if ".." in ref or ref.startswith("/"):
                return None
            line = _line(self.folder / ref) or _line(self._common / ref) or self._packed.get(ref, "")
            if not line.startswith("ref: "):
                return line if _NAME.fullmatch(line) else None
            ref = line.removeprefix("ref: ")
        return None

    @cached_property
    def _config(self) -> dict[tuple[str, str], dict[str, str]]:
        found: dict[tuple[str, str], dict[str, str]] = {}
        section: dict[str, str] = {}
        for line in _text(self._common / "config").splitlines():
            line = line.strip()
            match = _SECTION.match(line)
            if match:
                section = found.setdefault((match[1].lower(), match[2] or ""), {})
            elif "=" in line and line[0] not in "#;":
                key, _, value = line.partition("=")
                section[key.strip().lower()] = value.strip().strip('"')
        return found

    @cached_property
    def remotes(self) -> dict[str, str]:
        """Addresses by name, without the credentials that some hold."""
        return {
            name: _CREDENTIALS.sub("", entry["url"])
            for (kind, name), entry in self._config.items()
            if kind == "remote" and "url" in entry
        }

    @property
    def default_branch(self) -> str | None:
        for remote in self.remotes:
            head = _line(self._common / "refs" / "remotes" / remote / "HEAD")
            if head.startswith(f"ref: refs/remotes/{remote}/"):
                return head.removeprefix(f"ref: refs/remotes/{remote}/")
        common = (name for name in ("main", "master") if self.resolve(f"refs/heads/{name}"))
        return next(common, self.branch)

    @cached_property
    def upstream(self) -> tuple[str, str] | None:
        """The pushed branch that ours belongs to, such as `origin/main`, and its newest commit known here."""
        entry = self._config.get(("branch", self.branch or ""), {})
        remote, merge = entry.get("remote"), entry.get("merge", "").removeprefix("refs/heads/")
        wanted = [(remote, merge)] if remote and merge else []
        for name, branch in [*wanted, *((name, self.branch or "") for name in self.remotes)]:
            commit = self.resolve(f"refs/remotes/{name}/{branch}")
            if commit:
                return f"{name}/{branch}", commit
        return None

    def commit(self, name: str) -> Commit | None:
        found = self.objects.read(name)
        if found is None or found[0] != "commit":
            return None
        text = found[1].decode("utf-8", "replace")
        head = text.partition("\n\n")[0]
        author = _AUTHOR.search(head)
        fields = [line.split(" ") for line in head.splitlines() if line.startswith(("tree ", "parent "))]
        trees = [parts[1] for parts in fields if parts[0] == "tree" and _NAME.fullmatch(parts[1])]
        parents = tuple(parts[1] for parts in fields if parts[0] == "parent" and _NAME.fullmatch(parts[1]))
        return Commit(name, trees[0], author[1], author[2], parents) if author and trees else None

    @cached_property
    def commits(self) -> list[Commit]:
        """From the newest on, at most MAX_COMMITS of them; a shallow clone ends where it was cut."""
        return list(self._commits_from(self.head))

    def _commits_from(self, start: str | None) -> Iterator[Commit]:
        waiting, seen = [start] if start else [], {start}
        for _ in range(MAX_COMMITS):
            if not waiting:
                return
            commit = self.commit(waiting.pop(0))
            if commit is not None:
                yield commit
                waiting += [one for one in commit.parents if one not in seen]
                seen.update(commit.parents)

    @cached_property
    def people(self) -> dict[str, str]:
        """Names by address of everybody with a commit."""
        return {one.email.lower(): one.author for one in self.commits if one.is_by_a_person}

    def files_of(self, commit: str) -> dict[str, str] | None:
        """Paths below the project with the names of their blobs; None if the folders are not all here."""
        found = self.commit(commit)
        if found is None:
            return None
        files: dict[str, str] = {}
        waiting = [("", found.tree)]
        for _ in range(_MAX_TREES):
            if not waiting:
                return files
            folder, name = waiting.pop()
            tree = self.objects.read(name)
            if tree is None or tree[0] != "tree":
                return None
            for mode, entry, blob in _entries(tree[1]):
                path = f"{folder}{entry}"
                if mode == b"40000":
                    if self.prefix.startswith(f"{path}/") or f"{path}/".startswith(self.prefix):
                        waiting.append((f"{path}/", blob))
                elif path.startswith(self.prefix):
                    files[path.removeprefix(self.prefix)] = blob
        return None


def _entries(tree: bytes) -> Iterator[tuple[bytes, str, str]]:
    at = 0
    while at < len(tree):
        space, zero = tree.find(b" ", at), tree.find(b"\0", at)
        if space < 0 or zero < 0:
            return
        yield (
            tree[at:space],
            tree[space + 1 : zero].decode("utf-8", "surrogateescape"),
            tree[zero + 1 : zero + 21].hex(),
        )
        at = zero + 21


def blob_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _text(path: Path) -> str:
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(8 << 20).decode("utf-8", "replace")
    except OSError:
        return ""


def _line(path: Path) -> str:
    return _text(path).partition("\n")[0].strip()
