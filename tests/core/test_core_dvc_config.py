from __future__ import annotations

import configparser

import pytest

from mltool.core.dvc_config import remotes_of, without_password

CONFIG = """
[core]
    remote = far
    analytics = false
['remote "near"']
    url = /mnt/data
[remote "far"]
    url = ssh://me:hunter2@host/data
['remote "without an address"']
    jobs = 4
"""


def test_the_default_remote_comes_first_and_passwords_stay_where_they_are() -> None:
    assert list(remotes_of(CONFIG).items()) == [("far", "ssh://host/data"), ("near", "/mnt/data")]


@pytest.mark.parametrize("text", ["", "[core]\nremote = gone\n", "['remote \"a\"']\n"])
def test_a_file_without_remotes_has_none(text: str) -> None:
    assert remotes_of(text) == {}


def test_something_else_is_refused() -> None:
    with pytest.raises(configparser.Error):
        remotes_of("url = x\n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("gs://bucket/a@b", "gs://bucket/a@b"),
        ("https://user:pass@word@host/x", "https://host/x"),
        ("user@host:/data", "user@host:/data"),
        ("/mnt/a@b", "/mnt/a@b"),
    ],
)
def test_what_may_be_a_password_is_left_out(url: str, shown: str) -> None:
    assert without_password(url) == shown
