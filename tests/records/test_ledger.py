from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from records_testing import model_for, on_own_disk, warnings_heard

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.garbage import collect, garbage
from mltool.artifacts.store import Store
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.records import ledger as ledger_module
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger


@pytest.fixture
def model(store: Store) -> Artifact:
    return model_for(store)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store.root)


def deploy(ledger: Ledger, model: Artifact, name: str = "shop") -> int:
    with ledger.locked(name, target="local") as deployment:
        number = deployment.add_version(model, {"serve": {"port": 8000}}).number
    with ledger.locked(name) as deployment:
        deployment.went_live(number, Live(pid=12, process="34", host="127.0.0.1", port=8000, url="http://a"))
    return number


def test_a_deployment_is_there_for_the_next_process(ledger: Ledger, model: Artifact, store: Store) -> None:
    assert deploy(ledger, model) == 1
    again = Ledger(store.root)
    assert again.names() == ["shop"]
    deployment = again.read("shop")
    assert deployment.current is not None
    assert deployment.current.model_digest == model.digest
    assert deployment.live == Live(pid=12, process="34", host="127.0.0.1", port=8000, url="http://a")
    assert (deployment.name, deployment.target) == ("shop", "local")
    data = json.loads((store.root / "deployments" / "shop" / "deployment.json").read_text(encoding="utf-8"))
    assert (data["schema_version"], data["versions"][0]["state"]) == (1, "live")


def test_everything_that_happened_stands_in_the_history(ledger: Ledger, model: Artifact, store: Store) -> None:
    for _ in range(2):
        deploy(ledger, model)
    with ledger.locked("shop") as deployment:
        deployment.went_live(1, Live())
        deployment.record("worker_died", 1, "worker 0 was killed by signal 9")
        deployment.stopped("asked to")
    happened = ledger.history("shop")
    assert [(event.event, event.version) for event in happened] == [
        ("start", 1), ("deploy", 1), ("start", 2), ("deploy", 2), ("rollback", 1), ("worker_died", 1), ("stop", 1),
    ]  # fmt: skip
    assert happened[5].detail == "worker 0 was killed by signal 9"
    assert [event.time_utc for event in happened] == sorted(event.time_utc for event in happened)
    lines = (store.root / "deployments" / "shop" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert set(json.loads(lines[0])) == {"time_utc", "event", "version", "detail"}


def test_a_damaged_line_of_the_history_is_left_out_and_the_next_stands_by_itself(
    ledger: Ledger, model: Artifact
) -> None:
    deploy(ledger, model)
    path = ledger.folder("shop") / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time_utc": "2027-01-1')  # a process was killed
    deploy(ledger, model)
    with warnings_heard() as heard:
        assert [event.event for event in ledger.history("shop")] == ["start", "deploy", "start", "deploy"]
    assert heard == [f"line 3 of `{path}` is damaged and left out"]


def test_an_unknown_deployment_names_the_nearest(ledger: Ledger, model: Artifact) -> None:
    with pytest.raises(ArtifactError, match="there is no deployment `shop`") as caught:
        ledger.read("shop")
    assert (caught.value.exit_code, caught.value.hint) == (3, "make one with `mltool deploy local`")
    deploy(ledger, model)
    for wrong, hint in (("shpo", "did you mean `shop`?"), ("mill", "known are shop")):
        for call in (ledger.read, ledger.history, lambda name: ledger.locked(name).__enter__()):
            with pytest.raises(ArtifactError, match=f"there is no deployment `{wrong}`") as caught:
                call(wrong)
            assert caught.value.hint == hint
    assert ledger.names() == ["shop"]
    assert [path.name for path in (ledger.root / "deployments").iterdir()] == ["shop"]


@pytest.mark.parametrize("name", ["../shop", "", ".", "a/b", "latest", "con", "a" * 101, "-x"])
def test_a_name_that_cannot_be_a_folder_is_refused(ledger: Ledger, name: str) -> None:
    for call in (ledger.read, ledger.folder, ledger.predictions):
        with pytest.raises(ConfigError, match="cannot be a name"):
            call(name)
    with pytest.raises(ConfigError, match="cannot be a name"), ledger.locked(name, target="local"):
        pass
    assert not (ledger.root / "deployments").exists()


def test_two_spellings_of_one_name_are_refused(ledger: Ledger, model: Artifact) -> None:
    deploy(ledger, model)
    with pytest.raises(ConfigError, match="`Shop` and `shop` are one folder") as caught:
        deploy(ledger, model, "Shop")
    assert caught.value.hint == "write it as `shop`"


def test_a_deployment_stays_where_it_is(ledger: Ledger, model: Artifact) -> None:
    deploy(ledger, model)
    with (
        pytest.raises(ConfigError, match="`shop` is deployed to `local`, not to `docker`"),
        ledger.locked("shop", target="docker"),
    ):
        pass


def edited(**changes: Any) -> Any:
    return lambda data: {**data, **changes}


def with_version(**changes: Any) -> Any:
    return lambda data: {**data, "versions": [{**data["versions"][0], **changes}]}


@pytest.mark.parametrize(
    "damage",
    [
        edited(versions=None), edited(versions=[1]), edited(versions=[{}]), edited(current_number=2),
        edited(current_number=0), edited(current_number="1"), edited(live={"pip": 1}), edited(live=[1]),
        with_version(number=2), with_version(state="lively"), with_version(model_digest=None),
        with_version(config=[]), with_version(remote=[]), with_version(surprise=1),
        with_version(replaces=7), with_version(replaces=[]),
        with_version(accepted_failed_checks=3), lambda data: [data], lambda data: None, lambda data: {},
        lambda data: {key: value for key, value in data.items() if key != "target"},
    ],
)  # fmt: skip
def test_a_damaged_record_is_named_and_nothing_is_written_over_it(ledger: Ledger, model: Artifact, damage: Any) -> None:
    deploy(ledger, model)
    path = ledger.folder("shop") / "deployment.json"
    path.write_text(json.dumps(damage(json.loads(path.read_bytes()))), encoding="utf-8")
    content = path.read_bytes()
    for call in (
        lambda: ledger.read("shop"), lambda: deploy(ledger, model), ledger.returnable,
        lambda: ledger.expect_unused(model),
    ):  # fmt: skip
        with pytest.raises(ArtifactError, match="json` is damaged") as caught:
            call()
        assert caught.value.exit_code == 3
    assert path.read_bytes() == content
    assert ledger.names() == ["shop"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_record_that_is_no_json_is_damaged(ledger: Ledger, model: Artifact, content: bytes) -> None:
    deploy(ledger, model)
    (ledger.folder("shop") / "deployment.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        ledger.read("shop")


def test_a_record_of_a_later_mltool_is_refused(ledger: Ledger, model: Artifact) -> None:
    deploy(ledger, model)
    path = ledger.folder("shop") / "deployment.json"
    path.write_text(json.dumps({"schema_version": 2, "anything": 1}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="has schema version `2`") as caught:
        ledger.read("shop")
    assert (caught.value.exit_code, caught.value.hint) == (3, "upgrade mltool to read it")


def test_an_error_in_the_block_writes_nothing(ledger: Ledger, model: Artifact) -> None:
    def fail(target: str | None) -> None:
        with ledger.locked("shop", target=target) as deployment:
            deployment.stopped()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail("local")
    assert ledger.names() == []
    deploy(ledger, model)
    before = ledger.history("shop")
    with pytest.raises(RuntimeError, match="no"):
        fail(None)
    assert ledger.read("shop").live is not None
    assert ledger.history("shop") == before


def test_another_process_that_keeps_the_lock_is_waited_for_and_then_named(
    ledger: Ledger, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(ledger, model)
    monkeypatch.setattr(ledger_module, "_LOCK_TIMEOUT_S", 0.1)
    with (
        ledger.locked("shop"),
        pytest.raises(ArtifactError, match="another process holds the deployment `shop`"),
        Ledger(ledger.root).locked("shop"),
    ):
        pass
    with ledger.locked("shop"):
        pass


DEPLOYER = """
import sys
from pathlib import Path
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
model = Store(ledger.root).find("digits", ArtifactKind.model)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with ledger.locked("shop", target="local") as deployment:
        deployment.went_live(deployment.add_version(model, {}).number, Live(pid=1))
"""


def deployer(ledger: Ledger, num_versions: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DEPLOYER, str(ledger.root), str(num_versions)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()
    return process


def test_two_processes_that_deploy_at_once_lose_no_version(ledger: Ledger, model: Artifact) -> None:
    with deployer(ledger, 25) as first, deployer(ledger, 25) as second:
        assert (first.wait(120), second.wait(120)) == (0, 0)
    deployment = ledger.read("shop")
    assert [version.number for version in deployment.versions] == list(range(1, 51))
    assert [version.replaces for version in deployment.versions] == [None, *range(1, 50)]
    assert len(ledger.history("shop")) == 100


@pytest.mark.skipif(os.name != "posix", reason="no kill -9 here")
@pytest.mark.parametrize("num_kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_a_kill_at_any_moment_leaves_a_whole_record(ledger: Ledger, model: Artifact, num_kills: int) -> None:
    for attempt in range(num_kills):
        with deployer(ledger, 10**6) as process:
            time.sleep(0.05 + 0.011 * (attempt % 17))
            process.send_signal(signal.SIGKILL)
        before = len(ledger.read("shop").versions) if ledger.names() else 0
        assert deploy(ledger, model) == before + 1
        deployed = [event.version for event in ledger.history("shop") if event.event == "deploy"]
        assert sorted({number for number in deployed if number}) == list(range(1, before + 2))


def test_a_full_disk_is_explained_and_the_deployment_stays_whole(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from records_testing import model_for
from mltool.artifacts.store import Store
from mltool.core.errors import MltoolError
from mltool.records.deployment import Live
from mltool.records.ledger import Ledger
root = Path(sys.argv[1]) / ".mltool"
model, ledger = model_for(Store(root)), Ledger(root)
with ledger.locked("shop", target="local") as deployment:
    deployment.went_live(deployment.add_version(model, {}).number, Live(pid=1))
try:
    with (root / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"0" * 4096):
            pass
except OSError:
    pass
for name in ("shop", "mill"):
    try:
        with ledger.locked(name, target="local") as deployment:
            deployment.add_version(model, {"a": "b" * 10_000})
    except MltoolError as error:
        print(error.message.partition(": ")[2], error.exit_code)
print(ledger.names(), len(ledger.read("shop").versions), ledger.read("shop").live.pid)
"""
    assert on_own_disk(tmp_path / "disk", code) == ["there is no space left 1"] * 2 + ["['shop'] 1 1"]


def test_git_sees_nothing_of_deployments_also_in_a_store_that_was_made_before(
    ledger: Ledger, model: Artifact, store: Store
) -> None:
    ignore = store.root / ".gitignore"
    assert "deployments/" in ignore.read_text(encoding="utf-8").splitlines()
    ignore.write_text("artifacts/\nmine/\n*.lock", encoding="utf-8")
    deploy(ledger, model)
    deploy(ledger, model)
    assert ignore.read_text(encoding="utf-8") == "artifacts/\nmine/\n*.lock\ndeployments/\ngcp/\nstudies/\n"


def test_a_model_that_may_answer_again_is_no_garbage(ledger: Ledger, store: Store) -> None:
    first, second, failed = (model_for(store, name=None, number=number) for number in range(3))
    for model in (first, second):
        deploy(ledger, model)
    with ledger.locked("shop") as deployment:
        deployment.failed(deployment.add_version(failed, {}).number, "no")
        deployment.stopped()
    assert ledger.returnable() == {first.digest, second.digest}
    assert garbage(store, ledger.returnable()) == [failed.path]
    collect(store, [first.path, second.path, failed.path], ledger.returnable())
    assert (first.path.exists(), second.path.exists(), failed.path.exists()) == (True, True, False)


def test_a_model_in_use_is_refused_with_the_name_of_its_deployment(ledger: Ledger, store: Store) -> None:
    first, second, third = (model_for(store, number=number) for number in range(3))
    for model in (first, second, third):
        deploy(ledger, model)
    with pytest.raises(MltoolError, match="`digits@3` is deployed as `shop`") as caught:
        ledger.expect_unused(third)
    assert (caught.value.exit_code, caught.value.hint) == (1, "`mltool deploy stop shop` takes it out of service")
    with pytest.raises(MltoolError, match="`digits@2` is what to roll back to in `shop`"):
        ledger.expect_unused(second)
    ledger.expect_unused(first)
    with ledger.locked("shop") as deployment:
        deployment.stopped()
    for model in (first, second, third):
        ledger.expect_unused(model)
