"""What may be searched, and how it is written; every mistake is met before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mltool.core.config.load import load_config
from mltool.core.errors import ConfigError
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.point import as_tokens, at, value_at
from mltool.stages.tune.space import Choices, Domain, Range, plan_of, space_of


def job_of(*overrides: str, **values: Any) -> TuneJob:
    return load_config(TuneJob, "tune", overrides, values, Path.cwd())


def domains(*overrides: str, **values: Any) -> dict[str, Domain]:
    return dict(space_of(job_of(*overrides, **values)).domains)


@pytest.mark.parametrize(
    ("token", "key", "domain"),
    [
        ("space.lr=1e-4..1e-1:log", "train.lr", Range(1e-4, 1e-1, log=True)),
        ("space.train.lr=1e-4..1e-1", "train.lr", Range(1e-4, 1e-1)),
        ("tune.space.weight_decay=0..0.1", "train.weight_decay", Range(0.0, 0.1)),
        ("space.batch_size=16..64", "train.batch_size", Range(16, 64)),
        ("space.batch_size=32,64", "train.batch_size", Choices((32, 64))),
        ("space.batch_size=[32, 64]", "train.batch_size", Choices((32, 64))),
        ("space.optimizer=adamw,sgd", "train.optimizer", Choices(("adamw", "sgd"))),
        ("space.model.args.hidden=8..64:log", "model.args.hidden", Range(8, 64, log=True)),
        ("space.model.args.dropout=0.0..0.5", "model.args.dropout", Range(0.0, 0.5)),
        ("space.model.args.dropout=0..0.5", "model.args.dropout", Range(0.0, 0.5)),
        ("space.model.args.norm=true,false", "model.args.norm", Choices((True, False))),
        ("space.model.args.widths=[[8, 8], [16]]", "model.args.widths", Choices(([8, 8], [16]))),
        ("space.model.args.act=relu,null", "model.args.act", Choices(("relu", None))),
        ("space.data.image_size=8,16", "data.image_size", Choices((8, 16))),
    ],
)
def test_a_range_or_choices_are_written_by_key(token: str, key: str, domain: Domain) -> None:
    found = domains(token)
    assert found == {key: domain}
    assert [type(value) for value in _ends(found[key])] == [type(value) for value in _ends(domain)]


def _ends(domain: Domain) -> tuple[Any, ...]:
    return domain.options if isinstance(domain, Choices) else (domain.low, domain.high)


def test_a_space_is_written_the_same_in_the_file_and_in_python() -> None:
    Path("mltool.yaml").write_text(
        "tune:\n  space:\n    lr: 1e-3..1e-1:log\n    batch_size: [16, 32]\n    model.args.hidden: 8..64\n"
        "    model:\n      args:\n        norm: [true, false]\n"
    )
    expected = {
        "train.lr": Range(1e-3, 1e-1, log=True),
        "train.batch_size": Choices((16, 32)),
        "model.args.hidden": Range(8, 64),
        "model.args.norm": Choices((True, False)),
    }
    assert domains() == expected
    Path("mltool.yaml").unlink()
    space = {
        "lr": "1e-3..1e-1:log",
        "batch_size": [16, 32],
        "model": {"args": {"hidden": "8..64", "norm": (True, False)}},
    }
    assert domains(space=space) == expected


def test_the_default_space_holds_the_default_config() -> None:
    for overrides in ((), ("train.optimizer=sgd", "train.lr=0.1")):
        job = job_of(*overrides)
        space = space_of(job)
        assert space.holds(job)
        assert "train.lr" in space.domains


@pytest.mark.parametrize(
    ("token", "message", "hint"),
    [
        ("lr=0.1..0.01", "`tune.space.lr=0.1..0.01` is empty: it ends before it begins", "write `0.01..0.1`"),
        ("lr=", "`tune.space.lr=` is empty", "give a range, `lr=1..10`, or choices, `lr=1,2,4`"),
        ("lr=[]", "`tune.space.lr=[]` is empty", "give a range, `lr=1..10`, or choices, `lr=1,2,4`"),
        (
            "lr=0.1..0.1",
            "`tune.space.lr=0.1..0.1` leaves nothing to search",
            "give a wider range, or set `train.lr=0.1`",
        ),
        (
            "optimizer=adamw",
            "`tune.space.optimizer=adamw` leaves nothing to search",
            "give several choices, or set `train.optimizer=adamw`",
        ),
        (
            "weight_decay=0..0.1:log",
            "`tune.space.weight_decay=0..0.1:log` cannot be logarithmic from `0`",
            "begin above 0, or leave `:log` out",
        ),
        ("lr=0..0.1:log", "tune.space: `train.lr` must be above 0 and at most 10, not `0`", None),
        ("lr=0.1..20", "tune.space: `train.lr` must be above 0 and at most 10, not `20`", None),
        ("batch_size=0..32", "tune.space: `train.batch_size` must be at least 1, not `0`", None),
        ("batch_size=8,0", "tune.space: `train.batch_size` must be at least 1, not `0`", None),
        ("batch_size=1.5..3", "tune.space: `train.batch_size` must be a whole number, not `1.5`", None),
        ("lr=fast,slow", "tune.space: `train.lr` must be a number, not `fast`", None),
        (
            "optimizer=adamw,sdg",
            "tune.space: `train.optimizer` must be one of `adamw`, `adam`, `sgd`, not `sdg`",
            "did you mean `sgd`?",
        ),
        ("lrr=0.1..0.2", "tune.space: unknown key `lrr`", "did you mean `lr`?"),
        ("learning_rate=0.1..0.2", "tune.space: unknown key `learning_rate`", "here it is called `lr`"),
        ("lr=1..2:lin", "`tune.space.lr=1..2:lin` has the unknown scale `lin`", "write `:log`, or leave it out"),
        (
            "model.args.act=a..b",
            "`tune.space.model.args.act=a..b` is no range of numbers",
            "give numbers, or choices: `model.args.act=a,b`",
        ),
        ("batch_size=32,32", "`tune.space.batch_size=32,32` holds `32` twice", "give each choice once"),
        (
            "seed=1..9",
            "`tune.space.seed` cannot be searched: it makes no better model",
            "set `train.seed` for all trials",
        ),
        (
            "wandb_project=a,b",
            "`tune.space.wandb_project` cannot be searched: it makes no better model",
            "set `train.wandb_project` for all trials",
        ),
        (
            "data.split_seed=1..9",
            "`tune.space.data.split_seed` cannot be searched: it would change the samples that trials are judged on",
            "set `data.split_seed` for all trials",
        ),
    ],
)
def test_a_mistake_in_the_space_is_one_line(token: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        domains(f"space.{token}")
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (message, hint, 2)


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`tune.space` gives `train.lr` twice"):
        domains("space.lr=0.1..0.2", "space.train.lr=0.1..0.2")


def test_a_point_is_put_into_the_config_and_leaves_the_rest() -> None:
    job = job_of("model.args.norm=true", "train.epochs=3")
    point = {"train.lr": 0.5, "model.args.hidden": 8, "data.image_size": 4}
    there = at(job, point)
    assert {key: value_at(there, key) for key in point} == point
    assert (there.model.args, there.train.epochs) == ({"norm": True, "hidden": 8}, 3)
    assert job.model.args == {"norm": True}
    assert as_tokens(point) == ["lr=0.5", "model.args.hidden=8", "data.image_size=4"]


def test_a_plan_says_what_would_be_searched() -> None:
    plan = plan_of(job_of("space.batch_size=16,32", "space.optimizer=adamw,sgd", "trials=50"))
    assert plan["space"] == ["batch_size 16, 32", "optimizer adamw, sgd"]
    assert (plan["num_points"], plan["num_trials"]) == (4, 4)
    assert plan["your config"] == ["batch_size 64", "optimizer adamw"]


@given(
    st.floats(1e-9, 9.0, allow_subnormal=False),
    st.floats(1e-9, 9.0, allow_subnormal=False),
    st.booleans(),
    st.floats(0.0, 1.0),
)
def test_what_is_drawn_stays_within_its_range_however_it_is_rounded(
    one: float, other: float, log: bool, share: float
) -> None:
    domain = Range(min(one, other), max(one, other), log)
    drawn = domain.low + share * (domain.high - domain.low)
    rounded = domain.rounded(drawn)
    assert domain.holds(rounded)
    assert rounded == pytest.approx(drawn, rel=1e-5)
