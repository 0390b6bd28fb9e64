"""What is written becomes the value that was meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.config.fields import setting
from mltool.core.config.load import Resolved, expand, load_config, resolve
from mltool.core.config.settings import find_project, is_override
from mltool.core.errors import ConfigError
from mltool.stages.evaluate.config import EvaluateJob
from mltool.stages.train.config import TrainJob


def read(*overrides: str, **values: Any) -> Resolved[TrainJob]:
    return resolve(TrainJob, "train", overrides, values, Path.cwd())


def read_file(text: str, *overrides: str) -> TrainJob:
    Path("mltool.yaml").write_text(text, encoding="utf-8")
    return read(*overrides).config


def test_later_sources_win_and_each_value_knows_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mltool.yaml").write_text(
        "version: 1\nname: corn\ntrain:\n  epochs: 1\n  batch_size: 1\n  seed: 1\n  accumulate: 1\n", encoding="utf-8"
    )
    monkeypatch.setenv("MLTOOL_TRAIN__BATCH_SIZE", "2")
    monkeypatch.setenv("MLTOOL_TRAIN__SEED", "2")
    monkeypatch.setenv("MLTOOL_TRAIN__ACCUMULATE", "2")
    found = read("train.seed=3", "accumulate=3", accumulate=4)
    train = found.config.train
    assert (found.config.name, train.epochs, train.batch_size, train.seed, train.accumulate) == ("corn", 1, 2, 3, 4)
    assert found.origins == {
        "name": "mltool.yaml:2",
        "train.epochs": "mltool.yaml:4",
        "train.batch_size": "MLTOOL_TRAIN__BATCH_SIZE",
        "train.seed": "train.seed=3",
        "train.accumulate": "argument",
    }
    assert found.values["train.lr"] == 2e-3


def test_the_last_of_two_equal_overrides_wins() -> None:
    assert read("lr=1", "train.lr=2", "lr=3").config.train.lr == 3


@pytest.mark.parametrize(("text", "number"), [("010", 10), ("1", 1), (" 7 ", 7), ("+3", 3)])
def test_a_whole_number_is_decimal(text: str, number: int) -> None:
    assert read(f"epochs={text}").config.train.epochs == number
    assert read_file(f"train:\n  epochs: {text}\n").train.epochs == number
    assert read_file(f"train:\n  epochs: '{text}'\n").train.epochs == number


@pytest.mark.parametrize("text", ["no", "010", "1e-3", "true", "2020-01-01", "1:30", "0x10", "1_000", ".inf"])
def test_text_stays_text_where_text_is_wanted(text: str) -> None:
    assert read(f"data.source={text}").config.data.source == text
    assert read_file(f"data:\n  source: {text}\n").data.source == text
    assert read_file(f"data:\n  ignore: [{text}]\n").data.ignore == (text,)
    assert read_file(f"data:\n  ignore:\n  - {text}\n  - b\n").data.ignore == (text, "b")


@pytest.mark.parametrize("text", ["null", "None", "~", ""])
def test_null_is_nothing_unless_it_is_quoted(text: str) -> None:
    assert read("name=x", f"name={text}").config.name is None
    assert read_file(f"name: {text}\n").name is None
    assert read_file(f"name: '{text}'\n").name == text
    assert read(name=text).config.name == text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ("a", "b")),
        ("[a, b]", ("a", "b")),
        ("a", ("a",)),
        ("", ()),
        ("[]", ()),
        ("['a,b', c]", ("a,b", "c")),
        ("'a,b', c", ("a,b", "c")),
        ("*id, {x}", ("*id", "{x}")),
    ],
)
def test_a_list_is_written_with_or_without_brackets(text: str, names: tuple[str, ...]) -> None:
    assert read(f"data.ignore={text}").config.data.ignore == names


def test_a_list_in_the_file_may_be_quoted_and_on_lines_of_its_own() -> None:
    assert read_file("data:\n  ignore:\n    - 'a, b'\n    - \"c\"\n    - d  # last\n").data.ignore == ("a, b", "c", "d")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-7", -7),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("true", True),
        ("null", None),
        ("relu", "relu"),
        ("'1e-3'", "1e-3"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("nan", "nan"),
        ("infinity", "infinity"),
        ("1_000", "1_000"),
        ("[64, 032, x]", [64, 32, "x"]),
        ("{a: 1, b: {c: [2.5]}}", {"a": 1, "b": {"c": [2.5]}}),
    ],
)
def test_an_argument_of_the_network_is_what_it_looks_like(text: str, value: Any) -> None:
    assert read(f"model.args.a={text}").config.model.args == {"a": value}
    assert read_file(f"model:\n  args:\n    a: {text}\n").model.args == {"a": value}
    assert type(read(f"model.args.a={text}").config.model.args["a"]) is type(value)


def test_arguments_are_merged_entry_by_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_MODEL__ARGS__C__X", "8")
    args = read_file(
        "model:\n  args:\n    a: {b: 1, d: 2}\n    c: 3\n    e: {}\n", "model.args.a.b=5", "model.args.f.g.h=6"
    ).model.args
    assert args == {"a": {"b": 5, "d": 2}, "c": {"x": 8}, "e": {}, "f": {"g": {"h": 6}}}


def test_arguments_given_as_a_whole_replace_what_was_before() -> None:
    assert read_file("model:\n  args: {a: 1}\n", "model.args={b: 2}").model.args == {"b": 2}
    assert read_file("model:\n  args: {a: 1}\n", "model.args={}").model.args == {}


def test_python_keeps_the_types_of_its_keywords() -> None:
    args = {"a": "no", "b": "1e-3", "c": (3, 3), "d": None, "e": {"f": True, "g": {}}, "h": np.int64(3)}
    config = read(
        model={"args": args}, lr=1, epochs=np.int64(5), data={"source": Path("x.csv"), "ignore": ["a"]}
    ).config
    assert config.model.args == args
    assert type(config.model.args["h"]) is int
    assert (config.train.lr, config.train.epochs) == (1.0, 5)
    assert type(config.train.lr) is float
    assert type(config.train.epochs) is int
    assert (config.data.source, config.data.ignore) == ("x.csv", ("a",))


def test_python_may_write_numbers_as_text() -> None:
    assert read(lr="0.5", epochs="010").config.train.lr == 0.5


@given(
    st.integers(1, 10**12), st.floats(1e-300, 10, exclude_min=True), st.text(st.characters(exclude_categories=("Cs",)))
)
def test_any_value_passes_unchanged(epochs: int, lr: float, name: str) -> None:
    config = load_config(TrainJob, "train", [f"epochs={epochs}", f"lr={lr!r}"], {"name": name.replace("$", "")})
    assert (config.train.epochs, config.train.lr, config.name) == (epochs, lr, name.replace("$", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """A job with the types that no section uses yet."""

    on: bool = False
    sizes: tuple[int, ...] = setting((1,), minimum=1)
    maybe: bool | None = None


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("off", False), ("no", False), ("0", False)]
)
def test_true_and_false_have_their_usual_spellings(text: str, value: bool) -> None:
    assert load_config(Switches, "", [f"on={text}", f"maybe={text}"]) == Switches(on=value, maybe=value)
    assert load_config(Switches, "", [], {"on": value, "maybe": None}) == Switches(on=value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on": 1}, "`on` must be true or false, not `1`"),
        ({"on": "maybe"}, "`on` must be true or false, not `maybe`"),
        ({"maybe": 0.0}, "`maybe` must be true or false or null, not `0.0`"),
        ({"sizes": [1, True]}, "`sizes` must be a list, each a whole number, not `[1, True]`"),
        ({"sizes": [2, 0]}, "`sizes` must be at least 1, not `[2, 0]`"),
    ],
)
def test_switches_and_lists_of_numbers_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Switches, "", [], values)
    assert caught.value.message == message


def test_a_list_of_numbers_is_decimal() -> None:
    assert load_config(Switches, "", ["sizes=010,2"]).sizes == (10, 2)


def test_an_empty_section_is_fine() -> None:
    assert read_file("train:\n  # lr: 1\ndata:\nmodel: {}\n") == TrainJob()


def test_an_empty_file_is_fine() -> None:
    assert read_file("") == TrainJob()
    assert read_file("# version: 2\n") == TrainJob()


def test_what_only_other_verbs_read_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_MODEL__NAME", "no-such")
    Path("mltool.yaml").write_text("name: corn\ntrain:\n  lr: ${oc.env:MLTEST_NOT_SET}\n", encoding="utf-8")
    assert load_config(EvaluateJob, "") == EvaluateJob()


def test_the_reserved_variables_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_HOME", "/x")
    monkeypatch.setenv("MLTOOL_DEBUG", "1")
    assert read().origins == {}


def test_a_reference_is_resolved_for_use_and_stored_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_TOKEN", "hunter2")
    monkeypatch.setenv("MLTEST_NUMBER", "010")
    Path("mltool.yaml").write_text(
        "data:\n  source: https://${oc.env:MLTEST_TOKEN}@x\n  ignore: ['${oc.env:MLTEST_TOKEN}', b]\n"
        "model:\n  args:\n    a: '${oc.env:MLTEST_NUMBER}'\ntrain:\n  lr: 0.5\n  momentum: ${train.lr}\n",
        encoding="utf-8",
    )
    found = read("epochs=${oc.env:MLTEST_NUMBER}", "model.args.b.c=${oc.env:MLTEST_TOKEN}")
    assert found.config.data.source == "https://hunter2@x"
    assert found.config.data.ignore == ("hunter2", "b")
    assert found.config.model.args == {"a": 10, "b": {"c": "hunter2"}}
    assert (found.config.train.epochs, found.config.train.momentum) == (10, 0.5)
    assert found.values["data.source"] == "https://${oc.env:MLTEST_TOKEN}@x"
    assert found.values["train.epochs"] == "${oc.env:MLTEST_NUMBER}"
    assert found.values["train.momentum"] == "${train.lr}"
    assert "hunter2" not in repr(found.values)
    assert "hunter2" not in repr(found.origins)


def test_a_value_that_replaces_a_reference_is_stored_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mltool.yaml").write_text("train:\n  lr: ${oc.env:MLTEST_NOT_SET}\n", encoding="utf-8")
    found = read("lr=0.1", "momentum=${train.lr}")
    assert found.values["train.lr"] == found.config.train.lr == found.config.train.momentum == 0.1


def test_the_project_is_the_nearest_folder_with_a_file(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner) == inner.resolve()
    (tmp_path / "mltool.yaml").touch()
    assert find_project(inner) == tmp_path.resolve()
    (tmp_path / "a" / "mltool.yaml").mkdir()  # a folder is no file
    assert find_project(inner) == tmp_path.resolve()


@pytest.mark.parametrize(
    ("token", "is_one"),
    [("lr=1", True), ("model.args.a=", True), ("_x=1", True), ("digits@3", False), ("a/b=c", False), ("=1", False)],
)
def test_a_token_is_an_override_if_it_starts_with_a_key(token: str, is_one: bool) -> None:
    assert is_override(token) is is_one


def test_a_mapping_with_a_reference_keeps_its_text_beside_further_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_ARGS", "{hidden: 12}")
    plan = resolve(TrainJob, "train", ["model.args=${oc.env:MLTEST_ARGS}", "model.args.depth=2"])
    assert plan.config.model.args == {"hidden": 12, "depth": 2}
    assert plan.values["model.args"] == {"*": "${oc.env:MLTEST_ARGS}", "depth": 2}
    assert expand(plan.values["model.args"]) == {"hidden": 12, "depth": 2}


def test_a_path_in_the_file_is_meant_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "corn.csv").write_text("a,b\n")
    (tmp_path / "mltool.yaml").write_text("data:\n  source: corn.csv\n")
    monkeypatch.chdir(tmp_path / "deep")
    resolved = resolve(TrainJob, "train")
    assert resolved.config.data.source == str(tmp_path / "corn.csv")
    assert resolved.stored["data"]["source"] == "corn.csv"
    (tmp_path / "deep" / "corn.csv").write_text("a,b\n")
    assert resolve(TrainJob, "train").config.data.source == "corn.csv", "what stands here is nearer"
    assert resolve(TrainJob, "train", ["data.source=digits"]).config.data.source == "digits"


def test_a_config_under_another_name_is_pointed_out() -> None:
    Path("mltool.yml").write_text("train:\n  lr: 1\n")
    with pytest.raises(ConfigError, match=r"mltool\.yml` is not read") as caught:
        resolve(TrainJob, "train")
    assert caught.value.hint == "call it `mltool.yaml`"


def test_a_data_folder_that_is_a_link_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (project / "data").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(project)
    stored = resolve(TrainJob, "train", [f"data.source={project}/data"]).stored
    assert stored["data"]["source"] == "data"
