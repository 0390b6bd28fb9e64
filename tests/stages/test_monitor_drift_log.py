"""Windows of prediction logs, held against the reference of the models that answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import sqlite3
from collections.abc import Iterator

import pytest
from monitor_testing import log_requests, put_into_service, table_rows

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, ConfigError, DataError
from mltool.stages.monitor.drift import DriftFound
from small_models import linear_model, table_model
from user_project import said

__all__ = ["said"]


@pytest.fixture
def table(store: Store) -> Artifact:
    return table_model(store)


def drifted(found: DriftFound) -> set[str]:
    return {column.name for column in found.drift.columns if column.is_drifted}


def test_a_deployment_is_looked_at_through_its_log(store: Store, table: Artifact) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(150, seed=3))
    table_model(store)  # the deployment says which model it runs, whatever is the newest
    found = mltool.monitor.drift(deployment="shop")
    assert not found.alarm
    assert found.model.digest == table.digest
    assert found.drift.num_rows == found.window["num_requests"] == 150
    assert found.source.startswith("150 requests to `shop`, 20")
    rows = table_rows(150, seed=1)
    rows["numbers"][:, 1] += 1.5
    log_requests(folder, table, rows, worker=1, ago_s=10)
    later = mltool.monitor.drift(deployment="shop", last=150)
    assert later.alarm
    assert "width" in drifted(later)


def test_since_and_until_choose_the_window(store: Store, table: Artifact) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(40), ago_s=7200)
    log_requests(folder, table, table_rows(60), ago_s=600)
    sizes = {"1h": 60, "1d": 100, "2020-01-01": 100}
    assert {text: mltool.monitor.drift(deployment="shop", since=text).drift.num_rows for text in sizes} == sizes
    assert mltool.monitor.drift(deployment="shop", until="1h").drift.num_rows == 40
    with pytest.raises(DataError, match="`shop` holds no answers of `table@1` in that time"):
        mltool.monitor.drift(deployment="shop", since="1s")
    with pytest.raises(ConfigError, match=r"`monitor\.since` is `yesterday`, but a moment is needed"):
        mltool.monitor.drift(deployment="shop", since="yesterday")


def test_of_requests_of_one_moment_no_more_than_the_last_are_read(store: Store, table: Artifact) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(40), every_s=0.0)
    assert mltool.monitor.drift(deployment="shop", last=25).drift.num_rows == 25


def test_answers_of_other_versions_are_not_mixed_in(store: Store, table: Artifact, said: list[str]) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(30), ago_s=300)
    newer = linear_model(store)
    put_into_service(store, newer)
    log_requests(folder, table, table_rows(20), ago_s=60)
    with pytest.raises(DataError, match="holds no answers of `linear@1`"):
        mltool.monitor.drift(deployment="shop")
    assert "50 requests that other versions of `shop` answered are left out" in said
    found = mltool.monitor.drift("table@1", deployment="shop")
    assert (found.model.label, found.drift.num_rows) == ("table@1", 50)


def test_answers_alone_are_watched_where_inputs_are_not_kept(store: Store, table: Artifact, said: list[str]) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(80), keep_inputs=False)
    found = mltool.monitor.drift(deployment="shop")
    assert set(found.drift.not_tested) == {"numbers", "categories"}
    assert {column.kind for column in found.drift.columns} == {"output", "class"}
    assert any("does not keep `numbers`, `categories`" in text for text in said)


def test_records_of_another_form_are_left_out_and_said(store: Store, table: Artifact, said: list[str]) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(20), keep_inputs=False, ago_s=300)
    log_requests(folder, table, table_rows(50), ago_s=60)
    log_requests(folder, table, table_rows(30), ago_s=30, status=500)
    assert mltool.monitor.drift(deployment="shop").drift.num_rows == 50
    assert "20 requests to `shop` were recorded with other arrays: left out" in said


def test_a_damaged_log_file_is_said_once_and_the_rest_is_read(store: Store, table: Artifact, said: list[str]) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(60), worker=0)
    log_requests(folder, table, table_rows(60), worker=1)
    (folder / "worker-0.sqlite").write_bytes(b"no database at all" * 400)
    assert mltool.monitor.drift(deployment="shop").drift.num_rows == 60
    assert len([text for text in said if "worker-0.sqlite" in text and "cannot be read" in text]) == 1


def test_damaged_records_are_said_and_the_rest_is_read(store: Store, table: Artifact, said: list[str]) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(60))
    with contextlib.closing(sqlite3.connect(folder / "worker-0.sqlite")) as connection:
        connection.execute("UPDATE predictions SET inputs = x'00ff' WHERE rowid % 3 = 0")
        connection.commit()
    assert mltool.monitor.drift(deployment="shop").drift.num_rows == 40
    assert any("20 records with damaged arrays are left out" in text for text in said)


def test_a_deployment_that_is_not_there_or_was_never_asked_is_refused(store: Store, table: Artifact) -> None:
    with pytest.raises(ArtifactError, match="there is no deployment `shop`"):
        mltool.monitor.drift(deployment="shop")
    folder = put_into_service(store, table)
    with pytest.raises(DataError, match="the prediction log of `shop` holds no answers of `table@1`"):
        mltool.monitor.drift(deployment="shop")
    log_requests(folder, table, table_rows(4))
    with pytest.raises(DataError, match=r"4 requests to `shop`, .* has 4 rows, but at least 10"):
        mltool.monitor.drift(deployment="shop")


@pytest.fixture
def served_table(store: Store, table: Artifact) -> Iterator[int]:
    deployment = mltool.deploy.local("table", port=0)
    assert deployment.live is not None
    assert deployment.live.port is not None
    yield deployment.live.port
    mltool.deploy.stop("table")


def test_what_a_real_server_answered_is_looked_at(served_table: int) -> None:
    rows = table_rows(40)
    for numbers, code in zip(rows["numbers"].tolist(), rows["categories"][:, 0].tolist(), strict=True):
        record = {"length": 9.0, "width": numbers[1], "colour": ("blue", "red", "green")[code]}
        connection = http.client.HTTPConnection("127.0.0.1", served_table, timeout=30)
        connection.request("POST", "/predict", json.dumps(record).encode())
        assert connection.getresponse().status == 200
        connection.close()
    mltool.deploy.stop("table")  # all is written now
    found = mltool.monitor.drift(deployment="table", since="1h")
    assert found.alarm
    assert found.drift.columns[0].name == "length"
    assert found.drift.num_rows == 40


def test_a_model_that_is_gone_is_said(store: Store, table: Artifact) -> None:
    folder = put_into_service(store, table)
    log_requests(folder, table, table_rows(20))
    shutil.rmtree(table.path)
    with pytest.raises(ArtifactError, match="there is no model"):
        mltool.monitor.drift(deployment="shop")
    assert not store.manifests(ArtifactKind.attestation)
