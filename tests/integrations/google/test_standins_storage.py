"""Cloud Storage, as far as a deployment and a remote for data need it."""

from __future__ import annotations

import os

import pytest
from google.api_core import exceptions

from mltool.integrations.google.standins.methods import NAMES
from mltool.integrations.google.standins.storage import called
from standins_testing import Clients


def test_objects_of_any_size_come_back_as_they_were(clients: Clients) -> None:
    bucket = clients.storage.create_bucket("sizes", location="europe-west1")
    for size in (0, 1, 9 << 20):
        content = os.urandom(size)
        blob = bucket.blob(f"folder/{size}")
        blob.upload_from_string(content)
        assert bucket.blob(f"folder/{size}").download_as_bytes() == content
    assert [one.size for one in clients.storage.list_blobs("sizes", prefix="folder/")] == [0, 1, 9 << 20]


def test_a_resumable_upload_arrives_in_its_pieces(clients: Clients) -> None:
    bucket = clients.storage.create_bucket("pieces")
    content = os.urandom(600_000)
    bucket.blob("big", chunk_size=1 << 18).upload_from_string(content)
    assert bucket.get_blob("big").size == len(content)
    assert bucket.blob("big").download_as_bytes() == content


def test_whoever_must_be_the_first_is_told_that_they_are_not(clients: Clients) -> None:
    bucket = clients.storage.create_bucket("first")
    bucket.blob("lock").upload_from_string("one", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("lock").upload_from_string("two", if_generation_match=0)
    assert bucket.blob("lock").download_as_bytes() == b"one"


def test_a_bucket_is_there_once(clients: Clients) -> None:
    clients.storage.create_bucket("once")
    with pytest.raises(exceptions.Conflict):
        clients.storage.create_bucket("once")
    assert clients.storage.lookup_bucket("never") is None


def test_what_google_has_not_published_is_refused(clients: Clients) -> None:
    connection = clients.storage._connection
    with pytest.raises(exceptions.BadRequest, match='Invalid query parameter "speed"'):
        connection.api_request("GET", "/b", query_params={"project": "p1", "speed": "fast"})
    with pytest.raises(exceptions.BadRequest, match='Unknown name "colour" at'):
        connection.api_request("POST", "/b", query_params={"project": "p1"}, data={"name": "a", "colour": "red"})
    with pytest.raises(exceptions.BadRequest, match=r"Invalid value at 'body\.labels'"):
        connection.api_request("POST", "/b", query_params={"project": "p1"}, data={"name": "a", "labels": [1]})


@pytest.mark.parametrize(
    ("command", "path", "name"),
    [
        ("GET", "/storage/v1/b?project=p", "Buckets.List"),
        ("POST", "/storage/v1/b?project=p", "Buckets.Insert"),
        ("GET", "/storage/v1/b/one", "Buckets.Get"),
        ("DELETE", "/b/one", "Buckets.Delete"),
        ("GET", "/storage/v1/b/one/o", "Objects.List"),
        ("POST", "/upload/storage/v1/b/one/o?uploadType=multipart", "Objects.Insert"),
        ("PUT", "/upload/storage/v1/b/one/o?upload_id=1", "Objects.Insert"),
        ("GET", "/download/storage/v1/b/one/o/a%2Fb?alt=media", "Objects.Get"),
        ("DELETE", "/storage/v1/b/one/o/a", "Objects.Delete"),
        ("POST", "/storage/v1/b/one/o/a/copyTo/b/two/o/c", "Objects.Copy"),
        ("POST", "/storage/v1/b/one/o/a/rewriteTo/b/two/o/c", "Objects.Rewrite"),
        ("POST", "/storage/v1/b/one/o/a/compose", "Objects.Compose"),
        ("POST", "/batch/storage/v1", "Storage.Other"),
        ("GET", "/", "Storage.Other"),
    ],
)
def test_every_request_is_known_by_the_name_of_its_method(command: str, path: str, name: str) -> None:
    assert called(command, path)[0] == name
    assert name in NAMES
