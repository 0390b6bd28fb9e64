"""What libraries below DVC raise, in one line of ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mltool.core.errors import ArtifactError, ConfigError, MltoolError, RemoteError
from mltool.integrations.dvc import objects
from mltool.integrations.dvc.remote import Remote, explanation, opened

CLOSED = OSError(errno.EACCES, os.strerror(errno.EACCES), "/srv/data/files")


class AnswerError(Exception):
    """As gcsfs and aiohttp raise it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (CLOSED, "no access to `gs://b/x`: Permission denied"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "no access to `gs://b/x`: Read-only file system"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "there is no space left in `gs://b/x`"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "`gs://b/x` cannot be used: a file stands where a folder is needed"),
        (OSError("Forbidden: b/b/o\nada lacks a right."), "no access to `gs://b/x`: ada lacks a right"),
        (AnswerError(401, "Anonymous caller, 401"), "no access to `gs://b/x`: Anonymous caller, 401"),
        (ConnectionRefusedError("refused"), "`gs://b/x` cannot be reached: refused"),
        (TimeoutError("timed out"), "`gs://b/x` cannot be reached: timed out"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_remote_is_said_in_one_line(error: Exception, message: str) -> None:
    known = explanation(error, "gs://b/x")
    assert isinstance(known, RemoteError)
    assert (known.message, known.exit_code) == (message, 5)
    assert known.hint


def test_our_own_mistakes_are_not_dressed_as_those_of_a_remote() -> None:
    assert explanation(KeyError("x"), "gs://b/x") is None


# Passwords ----------------------------------------------------------------------------------------------------------

WITH_PASSWORD = "ssh://ada:sesame@host/data"


@pytest.mark.parametrize(
    "error",
    [
        CLOSED,
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        NotADirectoryError(errno.ENOTDIR, "x"),
        ConnectionRefusedError(f"nobody answers at {WITH_PASSWORD}/files"),
    ],
)
def test_no_password_is_shown_where_a_remote_failed(error: Exception) -> None:
    known = explanation(error, WITH_PASSWORD)
    assert known is not None
    assert "`ssh://host/data`" in known.message
    assert "sesame" not in f"{known.message}{known.hint}"


def test_no_password_is_shown_of_an_address_that_nobody_knows() -> None:
    with pytest.raises(ConfigError) as caught:
        opened({"url": "gopher://ada:sesame@host/data"})
    assert caught.value.message == "`gopher://host/data` is no remote that DVC knows"


def test_no_password_is_shown_where_an_object_is_missing_or_damaged(tmp_path: Path) -> None:
    remote = Remote(WITH_PASSWORD, opened({"url": str(tmp_path)}).odb)
    oid = "0" * 32 + ".dir"

    def problem() -> MltoolError:
        with pytest.raises(ArtifactError) as caught:
            objects.pull_folder(remote, oid, tmp_path, size_bytes=1, name="iris@1")
        return caught.value

    assert problem().message.startswith("`iris@1` is not whole in `ssh://host/data`: ")
    listing = Path(remote.odb.oid_to_path(oid))
    listing.parent.mkdir(parents=True)
    listing.write_text("[]")
    assert problem().message.startswith("`iris@1` is damaged in `ssh://host/data`: ")
