"""Each mistake in a config gets one line that names the value and where it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mltool.core.config.load import load_config
from mltool.core.config.settings import SECTIONS
from mltool.core.errors import ConfigError
from mltool.stages.monitor.config import RobustnessJob
from mltool.stages.profile.config import ProfileJob
from mltool.stages.train.config import TrainJob


def problem(*overrides: str, **values: Any) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        load_config(TrainJob, "train", overrides, values, Path.cwd())
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message, caught.value.hint


def file_problem(text: str) -> tuple[str, str | None]:
    Path("mltool.yaml").write_text(text, encoding="utf-8")
    return problem()


@pytest.mark.parametrize(
    ("token", "message", "hint"),
    [
        ("epohs=3", "unknown key `epohs`", "did you mean `epochs`?"),
        ("train.epohs=3", "unknown key `train.epohs`", "did you mean `train.epochs`?"),
        ("LR=3", "unknown key `LR`", "did you mean `lr`?"),
        ("source=x", "unknown key `source`", "did you mean `data.source`?"),
        ("lr.peak=3", "unknown key `train.lr.peak`", "did you mean `train.lr`?"),
        ("epochs=three", "`train.epochs` must be a whole number, not `three`", None),
        ("epochs=3.0", "`train.epochs` must be a whole number, not `3.0`", None),
        ("epochs=", "`train.epochs` must be a whole number, not ``", None),
        ("lr=fast", "`train.lr` must be a number, not `fast`", None),
        ("lr=nan", "`train.lr` must be a number, not `nan`", None),
        ("clip_norm=inf", "`train.clip_norm` must be a number, not `inf`", None),
        ("threads=many", "`train.threads` must be a whole number or null, not `many`", None),
        ("epochs=0", "`train.epochs` must be at least 1, not `0`", None),
        ("lr=0", "`train.lr` must be above 0 and at most 10, not `0`", None),
        ("lr=10.01", "`train.lr` must be above 0 and at most 10, not `10.01`", None),
        ("threads=1025", "`train.threads` must be at least 1 and at most 1024, not `1025`", None),
        ("data.channels=2", "`data.channels` must be one of `1`, `3`, not `2`", None),
        (
            "optimizer=adamv",
            "`train.optimizer` must be one of `adamw`, `adam`, `sgd`, not `adamv`",
            "did you mean `adam`?",
        ),
        ("optimizer=SGD", "`train.optimizer` must be one of `adamw`, `adam`, `sgd`, not `SGD`", "did you mean `sgd`?"),
        ("data.ignore=['id", "`data.ignore` must be a list, each text, not `['id`", None),
        ("data.fields=images", "`data.fields` must be names with values, each text, not `images`", None),
        ("data.fields={a: [1]}", "`data.fields` must be names with values, each text, not `{a: [1]}`", None),
        ("epochs", "`epochs` is not KEY=VALUE", "write it as `epochs=VALUE`"),
        ("--epochs=3", "`--epochs=3` is not KEY=VALUE", "write it as `--epochs=3=VALUE`"),
    ],
)
def test_an_override_that_does_not_fit_is_named(token: str, message: str, hint: str | None) -> None:
    assert problem(token) == (message, hint)


@pytest.mark.parametrize("text", ["'x", '"x', "[1", "{a: 1", ".nan", ".inf", "1e999", "!!python/name:os.system"])
def test_an_argument_that_is_no_plain_data_is_refused(text: str) -> None:
    message, _ = problem(f"model.args.a={text}")
    assert message == f"`model.args.a` must be plain data, such as text or a number, not `{text}`"


def test_a_key_with_no_near_name_lists_all() -> None:
    message, hint = problem("zzzzzzz=1")
    assert message == "unknown key `zzzzzzz`"
    assert hint is not None
    assert hint.startswith("known keys are ")
    assert "data.source" in hint
    assert "epochs" in hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("train:\n  epochs: 3\n  lrr: 1\n", "mltool.yaml:3: unknown key `train.lrr`", "did you mean `train.lr`?"),
        ("train:\n  epochs: three\n", "mltool.yaml:2: `train.epochs` must be a whole number, not `three`", None),
        ("train:\n  epochs: '3x'\n", "mltool.yaml:2: `train.epochs` must be a whole number, not `3x`", None),
        ("train:\n  lr: [1]\n", "mltool.yaml:2: `train.lr` must be a number, not `[1]`", None),
        ("name:\n  - a\n  - b\n", "mltool.yaml:1: `name` must be text or null, not `[a, b]`", None),
        ("name: {}\n", "mltool.yaml:1: `name` must be text or null, not `{}`", None),
        (
            "model:\n  args: [1, 2]\n",
            "mltool.yaml:2: `model.args` must be names with values, each plain data, such as text or a number, not "
            "`[1, 2]`",
            None,
        ),
        ("data:\n  ignore: [a, [b]]\n", "mltool.yaml:2: `data.ignore` must be a list, each text, not `[a, [b]]`", None),
        ("\n\ntrian:\n  lr: 1\n", "mltool.yaml:3: unknown section `trian`", "did you mean `train`?"),
        (
            "q: 1\n",
            "mltool.yaml:1: unknown section `q`",
            f"sections are {', '.join(SECTIONS)}",
        ),
        ("train: 5\n", "mltool.yaml:1: unknown key `train`", "did you mean `train.lr`?"),
        ("train:\n  lr: 1\n  lr: 2\n", "`mltool.yaml:3` gives `train.lr` a second time", "keep one of the two"),
        ("train:\n  lr: 1\ntrain:\n  seed: 2\n", "`mltool.yaml:3` gives `train` a second time", "keep one of the two"),
        ("train:\n  lr: [1\nx: 2\n", "`mltool.yaml:3` cannot be read: expected ',' or ']', but got ':'", None),
        (
            "train:\n\tlr: 1\n",
            "`mltool.yaml:2` cannot be read: found character '\\t' that cannot start any token",
            None,
        ),
        ("train: \x00\n", "`mltool.yaml` cannot be read: it is not plain UTF-8 text", None),
        ("- train\n", "`mltool.yaml` must hold sections, such as `train:`", None),
        (
            "name: x\nversion: 2\n",
            "`mltool.yaml:2` says version `2`, but this mltool reads version 1",
            "upgrade mltool, or write `version: 1`",
        ),
        (
            "version:\n  of: 1\n",
            "`mltool.yaml:2` says version `1`, but this mltool reads version 1",
            "upgrade mltool, or write `version: 1`",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, message: str, hint: str | None) -> None:
    assert file_problem(text) == (message, hint)


def test_a_file_in_another_encoding_is_refused() -> None:
    Path("mltool.yaml").write_bytes("train:\n  lr: 1\n".encode("utf-16"))
    assert problem() == ("`mltool.yaml` cannot be read: it is not plain UTF-8 text", None)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permission bits do not stop this user")
def test_a_file_that_may_not_be_read_is_refused() -> None:
    Path("mltool.yaml").touch(mode=0)
    assert problem() == ("`mltool.yaml` cannot be read: Permission denied", None)


def test_a_variable_without_a_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_LR", "1")
    message, hint = problem()
    assert message == "`MLTOOL_LR` names no section of the config"
    assert hint == f"write MLTOOL_SECTION__KEY; sections are {', '.join(SECTIONS)}"


def test_a_variable_with_a_mistake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTOOL_TRAIN__LR", "fast")
    assert problem() == ("MLTOOL_TRAIN__LR: `train.lr` must be a number, not `fast`", None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": True}, "`train.epochs` must be a whole number, not `True`"),
        ({"epochs": 3.0}, "`train.epochs` must be a whole number, not `3.0`"),
        ({"epochs": None}, "`train.epochs` must be a whole number, not `None`"),
        ({"lr": [0.1]}, "`train.lr` must be a number, not `[0.1]`"),
        ({"lr": float("nan")}, "`train.lr` must be a number, not `nan`"),
        ({"lr": True}, "`train.lr` must be a number, not `True`"),
        ({"lr": "fast"}, "`train.lr` must be a number, not `fast`"),
        ({"name": False}, "`name` must be text or null, not `False`"),
        ({"name": ["a"]}, "`name` must be text or null, not `['a']`"),
        ({"data": {"target": print}}, f"`data.target` must be text or null, not `{print}`"),
        ({"data": {"ignore": {"id"}}}, "`data.ignore` must be a list, each text, not `{'id'}`"),
        ({"lr": {"peak": 1}}, "unknown key `train.lr.peak`"),
        ({"epohs": 3}, "unknown key `epohs`"),
        ({"model": {"args": "hidden"}}, "`model.args` must be names with values, each plain data, such as text or a "),
        ({"model": {"args": {"act": print}}}, "`model.args.act` must be plain data, such as text or a number, not "),
        ({"model": {"args": {"a": [float("inf")]}}}, "`model.args.a` must be plain data, such as text or a number, "),
    ],
)
def test_a_keyword_of_the_wrong_type_is_named(values: dict[str, Any], message: str) -> None:
    assert problem(**values)[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("${oc.env:MLTEST_NOT_SET}", "'MLTEST_NOT_SET' not found"),
        ("${train.speed}", "'train.speed' not found"),
        ("${oc.env:HOME", "missing BRACE_CLOSE"),
        ("${no.such.resolver:1}", "Unsupported interpolation type no.such.resolver"),
        ("${data.source}", "Recursive interpolation"),
    ],
)
def test_a_reference_to_nothing_is_refused(text: str, part: str) -> None:
    message, _ = problem(f"data.source={text}")
    assert message.startswith(f"`{text}` cannot be resolved: ")
    assert part in message


def test_a_reference_to_nothing_in_the_file_is_named_with_its_line() -> None:
    message, _ = file_problem("data:\n  source: ${oc.env:MLTEST_NOT_SET}\n")
    assert message.startswith("mltool.yaml:2: `${oc.env:MLTEST_NOT_SET}` cannot be resolved: ")


def test_what_a_reference_stands_for_is_checked_like_any_value_but_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_LR", "11")
    assert (
        problem("lr=${oc.env:MLTEST_LR}")[0] == "`train.lr` must be above 0 and at most 10, not `${oc.env:MLTEST_LR}`"
    )


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("learning_rate=0.1", "here it is called `lr`"),
        ("train.num_epochs=3", "here it is called `epochs`"),
        ("max_grad_norm=1", "here it is called `clip_norm`"),
        ("data.test_size=0.3", "here it is called `data.test_fraction`"),
    ],
)
def test_a_key_that_other_tools_call_otherwise_is_translated(written: str, hint: str) -> None:
    message, said = problem(written)
    assert message == f"unknown key `{written.partition('=')[0]}`"
    assert said == hint


def test_a_file_that_refers_to_itself_is_refused() -> None:
    assert file_problem("train: &a\n  args: *a\n") == ("`mltool.yaml:1` refers to itself", "write the values out")


def test_of_a_list_the_value_that_is_wrong_is_named() -> None:
    with pytest.raises(ConfigError, match=r"`monitor\.corruptions` must be one of .*, not `jpg`") as caught:
        load_config(RobustnessJob, "monitor", ["corruptions=rotation,jpg,contrast"], {}, Path.cwd())
    assert caught.value.hint == "did you mean `jpeg`?"


@pytest.mark.parametrize("given", ["batch_sizes=", "batch_sizes=[]"])
def test_a_list_whose_values_have_limits_may_not_be_empty(given: str) -> None:
    with pytest.raises(ConfigError, match="`batch_sizes` must be a list of one or more, not"):
        load_config(ProfileJob, "", [given], {}, Path.cwd())
    assert load_config(TrainJob, "train", ["data.ignore="], {}, Path.cwd()).data.ignore == ()
