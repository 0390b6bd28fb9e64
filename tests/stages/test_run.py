"""The whole road: real steps in real processes, run by DVC."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

import mltool
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import open_store
from mltool.cli.app import run
from mltool.core.config import plain
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.stages.run import pipeline
from mltool.verbs import road as verb
from mltool.verbs.jobs import resolved
from user_project import project, said

__all__ = ["project", "said"]
pytestmark = [
    pytest.mark.xdist_group("road"),
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),  # of DVC, where a test calls it itself
]

SHORT = (
    "data.source=penguins",
    "epochs=20",
    "compile.backend=onnxruntime",
    "compile.precisions=fp32",
    "monitor.corruptions=missing_values",
    "monitor.columns=1",
    "monitor.windows=20",
)
STEPS = ["data", "train", "evaluate", "quantize", "compile", "profile", "robustness"]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the road was walked once."""
    folder = tmp_path_factory.mktemp("road")
    with contextlib.chdir(folder):
        walked = mltool.run(*SHORT, quiet=True)
    assert [step.name for step in walked.steps] == STEPS
    assert {step.outcome for step in walked.steps} <= {"ran", "refused"}
    return folder


@pytest.fixture
def there(walked: Path) -> Iterator[Path]:
    with contextlib.chdir(walked):
        yield walked


def test_every_step_leaves_what_its_verb_prints(there: Path) -> None:
    results = {name: json.loads((there / "road" / f"{name}.json").read_text()) for name in STEPS}
    assert results["data"]["kind"] == "dataset"
    assert results["train"]["ref"] == "penguins@1"
    assert results["evaluate"]["model"] == "penguins@1"
    assert results["compile"]["candidates"]
    assert results["profile"]["profiles"][0]["model"] == "penguins@1"
    assert results["robustness"]["rungs"]


def test_a_result_stands_for_the_artifact_that_it_speaks_of(there: Path) -> None:
    store = open_store()
    assert store.find("road/train.json", ArtifactKind.model).ref == "penguins@1"
    assert store.find("road/data.json", ArtifactKind.dataset).ref == "penguins@1"
    with pytest.raises(ArtifactError, match=r"`road/profile.json` is no result of a verb that makes a model"):
        store.find("road/profile.json", ArtifactKind.model)
    Path("failed.json").write_text('{"digest": "ab", "error": {}}')
    with pytest.raises(ArtifactError, match=r"`failed.json` says that its verb failed"):
        store.find("failed.json", ArtifactKind.model)


def test_the_page_tells_the_road(there: Path) -> None:
    page = (there / "road" / "road.html").read_text(encoding="utf-8")
    for words in ("The road", "What it costs", "When the data is damaged", "mltool deploy local penguins", "344 rows"):
        assert words in page


def test_nothing_is_done_again_when_nothing_has_changed(there: Path) -> None:
    page = (there / "road" / "road.html").stat().st_mtime_ns
    again = mltool.run(*SHORT)
    done = {step.name: step.outcome for step in again.steps if step.outcome != "refused"}
    assert set(done.values()) == {"unchanged"}
    assert all(step.seconds is not None for step in again.steps), "it is remembered how long they took"
    assert "quantize" not in done or (there / "road" / "road.html").stat().st_mtime_ns == page


def test_a_key_changes_the_steps_that_read_it_and_those_after_them(there: Path) -> None:
    def would_run(*keys: str) -> list[str]:
        return [step["name"] for step in verb.plan_run(*keys)["steps"] if step["would_run"]]

    assert set(would_run(*SHORT)) <= {"quantize"}
    changed = [*SHORT[:-1], "monitor.windows=25"]
    assert set(would_run(*changed)) - {"quantize"} == {"robustness"}
    assert set(would_run(*SHORT, "compile.min_speedup=2")) - {"quantize"} == {"compile", "profile", "robustness"}
    assert would_run(*SHORT, "lr=0.1") == STEPS[1:]
    assert would_run(*SHORT, "data.split_seed=3") == STEPS


def test_dvc_itself_finds_all_done(there: Path) -> None:
    from dvc.repo import Repo

    with contextlib.chdir("road"):
        assert set(Repo().status()) <= {"quantize"}


def test_the_command_speaks_json_and_is_quiet(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", *SHORT, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in shown["steps"]] == STEPS
    assert shown["summary"]["best"].startswith("penguins@")
    assert Path(shown["page"]).is_file()
    assert run(["run", *SHORT, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{there / 'road' / 'road.html'}\n", "")
    assert run(["run", *SHORT]) == 0
    assert "mltool deploy local penguins@" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in plan["steps"]] == STEPS
    assert all(step["would_run"] and step["command"].startswith("mltool ") for step in plan["steps"])
    assert list(tmp_path.iterdir()) == []


def edited(stages: dict[str, str]) -> Path:
    """A road that somebody made shorter: each step is a command of the shell."""
    verb.plan_run()
    path = Path("road") / "dvc.yaml"
    path.parent.mkdir(exist_ok=True)
    text = pipeline.text_of(Path.cwd(), pipeline.commands({}), {})
    head = text.partition("stages:")[0]
    body = "\n".join(
        f"  {name}:\n    cmd: {json.dumps(command)}\n    outs:\n    - {name}.json:\n        cache: false"
        for name, command in stages.items()
    )
    path.write_text(f"{head}stages:\n{body}\n")
    return path


def test_a_file_that_was_edited_is_run_as_it_stands(tmp_path: Path, said: list[str]) -> None:
    path = edited({"mine": "echo '{\"digest\": 1}' > mine.json"})
    text = path.read_text()
    assert [(step.name, step.outcome) for step in mltool.run().steps] == [("mine", "ran")]
    assert path.read_text() == text
    assert said[0] == f"`{path.resolve()}` was edited, so it is run as it stands"
    with pytest.raises(ConfigError, match=r"`train.epochs=3` would change .* which somebody edited"):
        mltool.run("epochs=3")


@pytest.mark.parametrize("text", ["stages: {}\n", "# my own\nstages:\n  a:\n    cmd: ls\n"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, text: str) -> None:
    Path("road").mkdir()
    Path("road/dvc.yaml").write_text(text)
    with pytest.raises(ConfigError, match="was not written by `mltool run`, and stays as it is"):
        mltool.run()
    assert Path("road/dvc.yaml").read_text() == text
    assert [path.name for path in Path("road").iterdir() if path.name != ".lock"] == ["dvc.yaml"]


def test_an_edited_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = edited({"mine": "echo 1 > mine.json"})
    path.write_text(path.read_text() + "  - what\n")
    with pytest.raises(ConfigError, match=r"road/dvc.yaml` cannot be read"):
        mltool.run()


def test_a_projects_own_pipeline_and_its_dvc_stay_as_they_are(tmp_path: Path) -> None:
    from dvc.repo import Repo

    from data_remotes import committed_files, dvc_project

    dvc_project(tmp_path, tmp_path.parent / "remote").close()
    (tmp_path / "dvc.yaml").write_text("stages:\n  own:\n    cmd: echo 1 > own.txt\n    outs:\n    - own.txt\n")
    before = committed_files(tmp_path)
    edited({"mine": "echo '{}' > mine.json"})
    mltool.run()
    after = committed_files(tmp_path)
    assert {name: text for name, text in after.items() if not name.startswith("road/")} == before
    assert "mine" not in str(Repo().status())


def test_a_step_that_fails_is_named_with_its_command_and_the_others_stay_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "data.source=penguins", "model.target=nowhere:Net"]) == 2
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert error.startswith("error: `train` ended with 2: ")
    assert "nowhere" in error
    assert "`mltool run` goes on from there" in hint
    assert "the step is `mltool train data.source=penguins model.target=nowhere:Net --resume --json`" in hint
    assert json.loads(Path("road/data.json").read_text())["ref"] == "penguins@1"
    plan = verb.plan_run("data.source=penguins", "model.target=nowhere:Net")
    assert [step["name"] for step in plan["steps"] if not step["would_run"]] == ["data"]


def test_a_step_that_says_nothing_and_ends_oddly_is_a_failure(tmp_path: Path) -> None:
    edited({"odd": "exit 77"})
    with pytest.raises(MltoolError, match="`odd` ended with 77: it says no more") as caught:
        mltool.run()
    assert caught.value.exit_code == 1


def test_a_quantization_that_is_refused_does_not_end_the_road(tmp_path: Path, said: list[str]) -> None:
    refuse = 'echo \'{"error": {"message": "too much was lost"}}\' > quantize.json; exit 4'
    edited({"quantize": refuse, "after": "echo '{}' > after.json"})
    assert [step.outcome for step in mltool.run().steps] == ["refused", "ran"]
    assert "quantize: too much was lost; the road goes on with the model as it is" in said
    assert [step.outcome for step in mltool.run().steps] == ["refused", "unchanged"]


def test_a_result_whose_artifact_is_gone_is_made_again(tmp_path: Path) -> None:
    edited({"data": "cd .. && mltool data add data.source=penguins --json > road/data.json"})
    assert mltool.run(quiet=True).steps[0].outcome == "ran"
    assert mltool.run(quiet=True).steps[0].outcome == "unchanged"
    shutil.rmtree(Path(json.loads(Path("road/data.json").read_text())["path"]))
    assert mltool.run(quiet=True).steps[0].outcome == "ran"
    assert mltool.data.load("penguins").ref == "penguins@1"


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    edited({"mine": "echo '{}' > mine.json"})
    with FileLock(str(Path("road/.lock"))), pytest.raises(MltoolError, match="another `mltool run` is at work"):
        mltool.run()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are those of POSIX systems")
def test_ctrl_c_ends_the_step_and_the_run(tmp_path: Path) -> None:
    edited({"first": "echo '{}' > first.json", "slow": "touch began; exec sleep 60"})
    command = [sys.executable, "-m", "mltool", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not Path("road/began").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-2:] == [
        "error: interrupted",
        "hint: the same command goes on with the step that was interrupted",
    ]
    Path("road/dvc.yaml").write_text(Path("road/dvc.yaml").read_text().replace("exec sleep 60", "echo {} > slow.json"))
    assert [step.outcome for step in mltool.run().steps] == ["unchanged", "ran"]


def test_settings_of_the_projects_file_are_followed_by_dvc_and_others_stand_in_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mltool.yaml").write_text("version: 1\nname: birds\ndata:\n  source: penguins\ntrain:\n  epochs: 3\n")
    monkeypatch.setenv("MLTOOL_TRAIN__LR", "0.5")
    commands = {step["name"]: step["command"] for step in verb.plan_run("quantize.batch_size=2")["steps"]}
    assert commands["train"] == "mltool train train.lr=0.5 --resume --json"
    assert commands["quantize"] == "mltool quantize road/train.json quantize.batch_size=2 --json"
    text = pipeline.text_of(tmp_path, pipeline.commands({}), {})
    params = {name: stage.get("params") for name, stage in pipeline.stages_of(text, tmp_path).items()}
    assert params["data"] == [{"../mltool.yaml": ["data"]}]
    assert params["train"] == [{"../mltool.yaml": ["name", "data", "train"]}]
    assert params["compile"] is None


def test_a_path_is_meant_from_where_it_was_typed(tmp_path: Path) -> None:
    Path("mltool.yaml").write_text("version: 1\n")
    Path("below").mkdir()
    for name in ("data.csv", "below/more.csv"):
        Path(name).write_text("")
    with contextlib.chdir("below"):
        commands = {
            step["name"]: step["command"]
            for step in verb.plan_run("data.source=../data.csv", "data.test=more.csv")["steps"]
        }
    assert commands["data"] == "mltool data add data.source=data.csv data.test=below/more.csv --json"


def test_code_and_data_of_the_project_are_what_a_step_depends_on(tmp_path: Path) -> None:
    Path("src").mkdir()
    for name, text in {"src/model.py": "from src import parts", "src/parts.py": "", "data.csv": ""}.items():
        Path(name).write_text(text)
    plan = verb._plan(["data.source=data.csv", "model.target=src.model:Net", "task.metric=src.parts:score"], {})
    text = pipeline.text_of(tmp_path, pipeline.commands(plan.keys), plan.files)
    stages = pipeline.stages_of(text, tmp_path)
    assert stages["data"]["deps"] == ["../data.csv"]
    assert stages["train"]["deps"] == ["data.json", "../src/model.py", "../src/parts.py"]


def test_a_helper_that_changed_makes_another_model(tmp_path: Path) -> None:
    Path("net.py").write_text(
        "from torch import nn\nfrom parts.wide import WIDTH\n\n\ndef make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))\n"
    )
    Path("parts").mkdir()
    Path("parts/wide.py").write_text("WIDTH = 8\n")
    plan = verb._plan(["model.target=net:make", "epochs=1"], {})
    stages = pipeline.stages_of(pipeline.text_of(tmp_path, pipeline.commands(plan.keys), plan.files), tmp_path)
    short = {name: stages[name] for name in ("data", "train")}
    edited({}).write_text(f"{pipeline._HEAD}\n{json.dumps({'stages': short})}")
    assert [step.outcome for step in mltool.run(quiet=True).steps] == ["ran", "ran"]
    first = json.loads(Path("road/train.json").read_text())
    Path("parts/wide.py").write_text("WIDTH = 16\n")
    assert [step.outcome for step in mltool.run(quiet=True).steps] == ["unchanged", "ran"]
    second = json.loads(Path("road/train.json").read_text())
    assert second["digest"] != first["digest"]
    assert second["ref"] != first["ref"]


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n", exclude_categories=["Cs", "Cc"]))


@given(value=VALUES)
def test_every_value_reaches_its_step_as_it_was_written(value: str) -> None:
    command = pipeline.commands({"train": [f"train.device={value}"]})["train"]
    assert shlex.split(command)[2] == f"train.device={value}"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: "${" not in repr(value))


def resolved_by_steps(plan: dict[str, list[str]]) -> Any:
    return resolved("run", [token for tokens in plan.values() for token in tokens]).config


@given(arguments=st.dictionaries(VALUES, PLAIN, max_size=3).filter(lambda value: "${" not in repr(value)))
def test_every_argument_reaches_its_step_with_its_type(arguments: dict[str, Any]) -> None:
    found = resolved("run", ["model.args=" + plain.dump(arguments)])
    assert resolved_by_steps(verb._written(found)) == found.config


@pytest.mark.parametrize(
    "keys",
    [
        ["model.args.hidden=[16,8]"],
        ["model.args.a='1'", "model.args.b='010'", "model.args.c='no'", "model.args.d=null", "model.args.e=1e-5"],
        ["model.args.deep.er={a: ['1', 2], b: {}}"],
        ["model.args={}"],
        ["model.args={own: 2}"],
        ["model.args.lr=${oc.env:A_NUMBER}", "model.args.other='3'", "model.args.deep.lr=${oc.env:A_NUMBER}"],
        ["model.args=${oc.env:A_MAPPING}", "model.args.more='3'"],
        ["compile.precisions=fp32,int8_static", "monitor.windows=25,100", "data.ignore='a, b',c,'null'"],
        ["data.classes=[]"],
        ["data.classes=null"],
        ["data.fields={image: '1'}"],
    ],
)
def test_what_was_typed_reaches_its_step_as_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    monkeypatch.setenv("A_NUMBER", "0.5")
    monkeypatch.setenv("A_MAPPING", "{a: 1, b: '2'}")
    Path("mltool.yaml").write_text("version: 1\nmodel:\n  args:\n    file: 1\n")
    found = resolved("run", keys)
    tokens = verb._written(found)
    assert resolved_by_steps(tokens) == found.config
    command = pipeline.commands(tokens)["train"]
    assert shlex.split(command)[2:-2] == [
        key for section in ("name", "data", "model", "task", "train") for key in tokens.get(section, [])
    ]


def test_a_dollar_is_the_shells_and_not_dvcs(tmp_path: Path) -> None:
    from dvc.repo import Repo

    keys = {"train": ["train.wandb_project=${HOME} $PATH"]}
    folder = tmp_path / "road"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(pipeline.text_of(tmp_path, pipeline.commands(keys), {}))
    Repo.init(str(folder), no_scm=True).close()
    (stage,) = [one for one in Repo(str(folder)).index.stages if one.name == "train"]
    assert "'train.wandb_project=${HOME} $PATH'" in stage.cmd
