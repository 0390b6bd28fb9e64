"""Pages of models in service, from their attestations and the logs of their deployments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monitor_testing import log_requests, put_into_service, table_rows, write_csv

import mltool
from mltool.artifacts.store import Store
from mltool.cli.app import run
from mltool.core.errors import ArtifactError, ConfigError
from mltool.records.labels import add_labels
from mltool.records.ledger import Ledger
from mltool.records.prediction_log import PredictionLog
from mltool.runtimes.runner import load
from mltool.stages.monitor.traffic import traffic_of
from small_models import CLASSES, linear_model, table_model
from user_project import said

__all__ = ["said"]


def test_a_model_in_service_has_its_windows_its_ladder_and_its_traffic_on_one_page(store: Store) -> None:
    model = table_model(store)
    folder = put_into_service(store, model)
    log_requests(folder, model, table_rows(200))
    log_requests(folder, model, table_rows(5, seed=9), worker=1, status=422)
    write_csv(Path("today.csv"), table_rows(60))
    mltool.monitor.drift("table", current="today.csv")
    mltool.monitor.drift(deployment="shop")
    mltool.monitor.robustness("table", corruptions=("missing_values",), redraws=5, windows=(10,))

    found = mltool.monitor.report("table")
    assert (found.model.label, found.deployment) == ("table@1", "shop")
    assert [window["source"].startswith("`today.csv`") for window in found.drift] == [True, False]
    assert found.robustness is not None
    traffic = found.traffic
    assert traffic is not None
    assert (traffic.num_requests, traffic.num_failed, traffic.num_answers) == (205, 5, 200)
    assert traffic.statuses == {"200": 200, "422": 5}
    predicted = load(model).run(table_rows(200))["logits"].argmax(axis=1)
    assert list(traffic.classes.values()) == np.bincount(predicted, minlength=3).tolist()
    assert sum(one.num_requests for one in traffic.stretches) == 205
    assert traffic.latency_ms == {"p50": 1.0, "p90": 1.0, "p99": 1.0}
    html = found.page.read_text(encoding="utf-8")
    assert found.page.parent == store.runs / "pages"
    for text in ("Drift", "Columns", "Traffic", "Answers", "Robustness", "length", "ant"):
        assert text in html
    assert len(html) < 300_000
    json.dumps(found.to_json(), allow_nan=False)


def test_a_model_that_nothing_is_known_of_has_a_page_that_says_what_to_do(store: Store) -> None:
    linear_model(store)
    found = mltool.monitor.report()
    assert (found.deployment, found.drift, found.robustness, found.traffic) == (None, [], None, None)
    assert "mltool monitor robustness linear@1" in found.page.read_text(encoding="utf-8")


def test_with_a_deployment_it_is_about_the_model_that_it_runs(store: Store, said: list[str]) -> None:
    old, new = table_model(store), table_model(store, columns=("a", "b", "c"))
    log_requests(put_into_service(store, old), old, table_rows(20))
    assert mltool.monitor.report(deployment="shop").model.label == "table@1"
    said.clear()
    found = mltool.monitor.report()
    assert found.model.digest == new.digest
    assert found.deployment is None
    assert "`table@2` is not deployed now; `deployment=NAME` shows what `shop` runs" in said


def test_of_several_deployments_one_in_service_is_shown_and_the_others_are_named(store: Store, said: list[str]) -> None:
    model = table_model(store)
    put_into_service(store, model, "attic")
    put_into_service(store, model, "shop")
    with Ledger(store.root).locked("attic") as deployment:
        deployment.stopped()
    assert mltool.monitor.report("table").deployment == "shop"
    assert any("is deployed as attic, too" in text for text in said)


def test_the_newest_requests_and_a_span_of_time_can_be_chosen(store: Store) -> None:
    model = table_model(store)
    folder = put_into_service(store, model)
    log_requests(folder, model, table_rows(30), ago_s=7200)
    log_requests(folder, model, table_rows(40), worker=1, ago_s=60)

    def num_requests(**values: object) -> int:
        traffic = mltool.monitor.report("table", **values).traffic
        return traffic.num_requests if traffic else 0

    assert num_requests() == 70
    assert num_requests(since="1h") == 40
    assert num_requests(until="1h") == 30
    assert num_requests(last=10) == 10
    assert num_requests(since="3h", until="150m") == 0


def test_labels_that_came_later_tell_the_accuracy(store: Store) -> None:
    model = table_model(store)
    folder = put_into_service(store, model)
    log_requests(folder, model, table_rows(50), ago_s=60.0)
    predicted = load(model).run(table_rows(50))["logits"].argmax(axis=1)
    truth = [CLASSES[code] if row % 5 else CLASSES[(code + 1) % 3] for row, code in enumerate(predicted)]
    add_labels(folder, {f"0-{row}-60.0": label for row, label in enumerate(truth)})
    traffic = mltool.monitor.report("table").traffic
    assert traffic is not None
    assert traffic.num_labelled == 50
    assert traffic.accuracy is not None
    assert traffic.accuracy[0] == pytest.approx(0.8)
    assert traffic.accuracy[1] < 0.8 < traffic.accuracy[2]


def test_a_damaged_log_is_warned_of_and_the_rest_is_shown(store: Store, said: list[str]) -> None:
    model = table_model(store)
    folder = put_into_service(store, model)
    log_requests(folder, model, table_rows(30))
    (folder / "worker-1.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 100)
    traffic = mltool.monitor.report("table").traffic
    assert traffic is not None
    assert traffic.num_requests == 30
    assert sum("worker-1.sqlite" in text for text in said) == 1


def test_requests_without_recorded_answers_are_counted(store: Store) -> None:
    model = table_model(store)
    log = PredictionLog(put_into_service(store, model), 0)
    log.append("a", 1_700_000_000.0, "shop", model.digest, 200, 3.0)
    log.close()
    traffic = mltool.monitor.report("table").traffic
    assert traffic is not None
    assert (traffic.num_requests, traffic.num_answers, traffic.classes) == (1, 0, {})


def test_no_requests_are_no_traffic(store: Store) -> None:
    from mltool.datasets.schema import schema_of

    assert traffic_of([], schema_of(table_model(store))) is None


@pytest.mark.parametrize(
    ("ref", "values", "error", "message"),
    [
        ("nothing", {}, ArtifactError, "there is no model `nothing`"),
        (None, {"deployment": "shpo"}, ArtifactError, "there is no deployment `shpo`"),
        ("table", {"since": "yesterday"}, ConfigError, "`monitor.since` is `yesterday`, but a moment is needed"),
        ("linear", {"until": "tomorrow"}, ConfigError, "`monitor.until` is `tomorrow`, but a moment is needed"),
        ("table", {"last": 0}, ConfigError, "`monitor.last` must be at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    store: Store, ref: str | None, values: dict[str, object], error: type[Exception], message: str
) -> None:
    put_into_service(store, table_model(store))
    linear_model(store)
    with pytest.raises(error) as caught:
        mltool.monitor.report(ref, **values)
    assert message in caught.value.message  # type: ignore[attr-defined]
    assert not (store.runs / "pages").exists()


# On the command line --------------------------------------------------------------------------------------------------


def test_the_commands_draw_what_was_found(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no name is cut in two
    model = table_model(store)
    log_requests(put_into_service(store, model), model, table_rows(40))
    options = ["corruptions=missing_values,dead_column", "redraws=5", "windows=10,25", "columns=1"]

    assert run(["monitor", "robustness", "table", *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("table@1  accuracy 1 on 64 rows of its samples\n")
    assert "missing values" in out
    assert "dead column of `" in out
    assert "accuracy lost, and after how many requests drift notices" in out
    assert "report  .mltool/artifacts/" in out

    assert run(["monitor", "robustness", "table", *options, "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert {"model", "metric", "clean", "rungs", "windows", "silent_and_harmful", "summary", "attestation"} <= set(body)
    assert len(body["rungs"]) == 10
    assert run(["monitor", "robustness", "table", *options, "-q"]) == 0
    assert capsys.readouterr().out.strip() == body["attestation"]

    assert run(["monitor", "report", "table"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("table@1  deployed as shop\n")
    assert "traffic     40 requests, 0 failed, p50 1 ms" in out
    assert body["summary"] in out
    assert run(["monitor", "report", "deployment=shop", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["traffic"]["num_requests"] == 40
    assert run(["monitor", "report", "-q"]) == 0
    assert capsys.readouterr().out.strip() == report["page"]

    assert run(["models", "show", "table"]) == 0
    out = capsys.readouterr().out
    assert "attestation `robustness`" in out
    assert "worst_accuracy" in out
    assert run(["deploy", "local", "table", "--dry-run"]) == 0
    assert f"robustness        {body['summary']}" in capsys.readouterr().out


def test_what_a_file_says_to_other_verbs_is_no_mistake(store: Store) -> None:
    table_model(store)
    Path("mltool.yaml").write_text(
        "version: 1\nmonitor:\n  since: 24h\n  deployment: shop\n  corruptions: [dead_column]\n"
    )
    found = mltool.monitor.robustness("table", redraws=5, windows=(10,), columns=1).ladder
    assert {rung.corruption for rung in found.rungs} == {"dead_column"}


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["robustness", "nothing"], 3, "error: there is no model `nothing`"),
        (["robustness", "corruptions=jpg"], 2, "hint: did you mean `jpeg`?"),
        (["robustness", "corruptions=jpeg"], 2, "error: the corruption `jpeg` does not fit the inputs of the model"),
        (["robustness", "table", "table"], 2, "error: `table` is one too many"),
        (["report", "deployment=shpo"], 3, "hint: did you mean `shop`?"),
        (["robustness", "table", "current=a.csv"], 2, "so `current` chooses nothing"),
        (["robustness", "table", "since=24h"], 2, "hint: `mltool monitor drift` looks at a window"),
        (["report", "table", "current=a.csv"], 2, "so `current` chooses nothing"),
        (["report", "since=x"], 2, "error: `monitor.since` is `x`, but a moment is needed"),
    ],
)
def test_a_mistake_gets_one_line_and_its_exit_code(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, line: str
) -> None:
    put_into_service(store, table_model(store))
    assert run(["monitor", *arguments]) == code
    err = capsys.readouterr().err
    assert line in err
    assert "Traceback" not in err
