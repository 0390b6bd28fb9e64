"""History is read out of the files of `.git`, the same as git itself tells it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from checklist_project import Files

from mltool.stages.checklist.reading.git import Git
from mltool.stages.checklist.reading.git_objects import Objects

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
ADA, BOB = "Ada <ada@example.com>", "Bob <bob@example.com>"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A repository with a remote that holds all of it."""
    made = Files(tmp_path / "work")
    made.write("src/corn.py", "a = 1\n")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "remote")], check=True)
    made.git("init", "-q", "-b", "main")
    made.git("remote", "add", "origin", str(tmp_path / "remote"))
    commit(made, "one")
    made.git("push", "-q", "-u", "origin", "main")
    return made


def commit(files: Files, message: str, author: str = ADA) -> None:
    files.git("add", "-A", author=author)
    files.git("commit", "-q", "-m", message, author=author)


def told_by_git(files: Files, *arguments: str) -> list[str]:
    return subprocess.run(
        ["git", *arguments], cwd=files.root, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_commits_people_remote_and_branch_are_seen(files: Files) -> None:
    found = files.judge("git")
    assert (found.verdict.value, "1 commit by 1 person" in found.evidence) == ("done", True)
    assert "branch `main`" in found.evidence
    assert "remote `origin`" in found.evidence


def test_a_repository_without_a_remote_or_commits_is_half_done(files: Files) -> None:
    files.git("remote", "remove", "origin")
    assert files.judge("git").evidence.endswith("no remote")
    shutil.rmtree(files.root / ".git")
    files.git("init", "-q")
    assert files.judge("git").evidence == "the repository has no commit that can be read"
    shutil.rmtree(files.root / ".git")
    assert files.judge("git").verdict.value == "missing"


def test_access_is_shown_by_commits_of_several_people_and_no_machine(files: Files) -> None:
    files.write("a.py", "b = 1\n")
    commit(files, "by a machine", "dependabot[bot] <bot@example.com>")
    assert files.judge("access").verdict.value == "ask"
    files.write("a.py", "b = 2\n")
    commit(files, "two", BOB)
    found = files.judge("access")
    assert (found.verdict.value, found.evidence) == ("done", "commits by Ada, Bob")


def test_uploaded_means_that_every_source_is_as_it_was_pushed(files: Files) -> None:
    assert files.judge("uploaded").verdict.value == "done"
    files.write("src/corn.py", "a = 2\n")
    assert "src/corn.py" in files.judge("uploaded").evidence
    commit(files, "changed")
    assert files.judge("uploaded").verdict.value == "partly"
    files.git("push", "-q")
    assert files.judge("uploaded").verdict.value == "done"
    files.write("new.py", "")
    assert "new.py" in files.judge("uploaded").evidence
    files.write(".gitignore", "new.py\n/drafts/\nbuilt-*\n")
    files.write("drafts/a.py", "")
    files.write("src/built-1/b.py", "")
    assert files.judge("uploaded").verdict.value == "done"


def test_a_branch_that_was_never_pushed_is_not_uploaded(files: Files) -> None:
    files.git("checkout", "-q", "-b", "idea")
    assert "`idea` has not been pushed" in files.judge("uploaded").evidence
    files.git("remote", "remove", "origin")
    assert files.judge("uploaded").verdict.value == "missing"


def test_packed_history_reads_as_git_tells_it(files: Files) -> None:
    for number in range(30):
        files.write("src/corn.py", "\n".join(f"line_{n} = {number if n == number else 0}" for n in range(200)))
        files.write(f"src/part_{number}.py", f"a = {number}\n")
        commit(files, f"change {number}", (ADA, BOB)[number % 2])
    files.git("repack", "-q", "-a", "-d", "--depth=50", "--window=50")
    files.git("pack-refs", "--all")
    git = Git.find(files.root)
    assert git is not None
    assert [one.name for one in git.commits] == told_by_git(files, "rev-list", "HEAD")
    assert set(git.people.values()) == {"Ada", "Bob"}
    assert git.head is not None
    listed = {line.split("\t")[1]: line.split()[2] for line in told_by_git(files, "ls-tree", "-r", "HEAD")}
    assert git.files_of(git.head) == listed


@pytest.mark.parametrize("by_offset", ["true", "false"])
def test_every_object_of_a_pack_reads_as_what_its_name_says(files: Files, by_offset: str) -> None:
    for number in range(12):
        files.write("src/corn.py", "\n".join(f"line_{n} = {-number if n == number else n * n + 1}" for n in range(300)))
        commit(files, f"change {number}")
    files.git("-c", f"repack.usedeltabaseoffset={by_offset}", "repack", "-q", "-a", "-d", "-f")
    (index,) = (files.root / ".git/objects/pack").glob("*.idx")
    lines = [line.split() for line in told_by_git(files, "verify-pack", "-v", str(index))]
    assert [line for line in lines if len(line) == 7], "nothing is kept as a difference"
    objects = Objects(files.root / ".git/objects")
    names = [line.split()[0] for line in told_by_git(files, "cat-file", "--batch-all-objects", "--batch-check")]
    assert len(names) > 30
    for name in names:
        found = objects.read(name)
        assert found is not None
        kind, content = found
        assert hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest() == name


def test_a_merge_has_both_its_histories(files: Files) -> None:
    files.git("checkout", "-q", "-b", "side")
    files.write("side.py", "")
    commit(files, "side", BOB)
    files.git("checkout", "-q", "main")
    files.write("main.py", "")
    commit(files, "main")
    files.git("merge", "-q", "--no-ff", "-m", "merged", "side")
    git = Git.find(files.root)
    assert git is not None
    assert {one.name for one in git.commits} == set(told_by_git(files, "rev-list", "HEAD"))


def test_a_second_work_tree_and_a_folder_of_a_repository_are_in_it(files: Files, tmp_path: Path) -> None:
    files.git("worktree", "add", "-q", "-b", "second", str(tmp_path / "second"))
    second = Git.find(tmp_path / "second")
    assert second is not None
    assert (second.branch, len(second.commits)) == ("second", 1)
    inner = Git.find(files.root / "src")
    assert inner is not None
    assert inner.head is not None
    assert list(inner.files_of(inner.head) or ()) == ["corn.py"]


def test_a_shallow_clone_ends_where_it_was_cut(files: Files, tmp_path: Path) -> None:
    for number in range(3):
        files.write("src/corn.py", f"a = {number}\n")
        commit(files, str(number))
    files.git("push", "-q")
    subprocess.run(
        ["git", "clone", "-q", "--depth=2", f"file://{tmp_path / 'remote'}", str(tmp_path / "clone")], check=True
    )
    git = Git.find(tmp_path / "clone")
    assert git is not None
    assert len(git.commits) == 2


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"\xff\x74\x4f\x63\0\0\0\x02" + b"\xff" * 1100])
def test_a_damaged_pack_is_no_history(files: Files, damage: bytes) -> None:
    files.git("repack", "-q", "-a", "-d")
    for pack in (files.root / ".git/objects/pack").iterdir():
        pack.chmod(0o600)
        pack.write_bytes(damage)
    assert files.judge("git").verdict.value == "partly"
    assert files.judge("uploaded").verdict.value == "ask"


def test_references_cannot_lead_out_of_the_repository(files: Files) -> None:
    (files.root / "secret").write_text("0" * 40)
    (files.root / ".git/HEAD").write_text("ref: ../secret\n")
    git = Git.find(files.root)
    assert git is not None
    assert git.head is None
