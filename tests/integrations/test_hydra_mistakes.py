"""A Hydra tree that cannot be used is one line that names the file, the value and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra_testing import problem, put, train, tree

from mltool.core.errors import ConfigError
from user_project import project, said, write

__all__ = ["project", "said", "tree", "write"]


# What goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: [1\nb: 2\n", "`config.yaml:2` cannot be read: expected ',' or ']', but got ':'", None),
        ("a: 1\na: 2\n", "`config.yaml:2` cannot be read: found duplicate key a", None),
        (
            "- a\n",
            "`conf/config.yaml` cannot be composed: primary config 'config' must be a DictConfig, got ListConfig",
            None,
        ),
        (
            "defaults: [{optimizer: adamm}]\n",
            "`conf/config.yaml` cannot be composed: In 'config': Could not find 'optimizer/adamm'",
            "there are adam, sgd",
        ),
        (
            "defaults: [{optimizer: '???'}]\n",
            "`conf/config.yaml` cannot be composed: You must specify 'optimizer', e.g, optimizer=<OPTION>",
            "choose one with `hydra.overrides=optimizer=CHOICE`: adam, sgd",
        ),
        (
            "defaults: [base_config]\n",
            "`conf/config.yaml` cannot be composed: In 'config': Could not load 'base_config'",
            "a config that is made in Python (`ConfigStore`) cannot be read without running its code: write it as YAML",
        ),
        (
            "defaults: [{override hydra/launcher: joblib}]\n",
            "`conf/config.yaml` cannot be composed: In 'hydra/config': Could not find 'hydra/launcher/joblib'",
            "install the plugin that brings it, or leave it out with `hydra.overrides`",
        ),
        (
            "defaults: [config]\n",
            "`conf/config.yaml` leads back to itself in its `defaults`",
            "break the circle",
        ),
        (
            "hydra:\n  searchpath: ['pkg://src.conf']\n",
            "`conf/config.yaml` looks for configs in a Python package (`pkg://`), which would run its code",
            "use a folder, `file://…`, in `hydra.searchpath`",
        ),
        (
            "lr: ${nope.here}\n",
            "conf/config.yaml:lr cannot be taken for `train.lr`: Interpolation key 'nope.here' not found",
            "give it with `hydra.overrides=lr=VALUE`, or leave it with `hydra.map.train.lr=null`",
        ),
        (
            "optimizer:\n  lr: ???\n",
            "conf/config.yaml:optimizer.lr cannot be taken for `train.lr`: it must be given (`???`)",
            "give it with `hydra.overrides=optimizer.lr=VALUE`, or leave it with `hydra.map.train.lr=null`",
        ),
        (
            "lr: ${mul:2,3}\n",
            "conf/config.yaml:lr cannot be taken for `train.lr`: Unsupported interpolation type mul",
            "give it with `hydra.overrides=lr=VALUE`, or leave it with `hydra.map.train.lr=null`",
        ),
        (
            "trainer:\n  max_epochs: many\n",
            "conf/config.yaml:trainer.max_epochs: `train.epochs` must be a whole number, not `many`",
            None,
        ),
        ("lr: 20\n", "conf/config.yaml:lr: `train.lr` must be above 0 and at most 10, not `20`", None),
    ],
)
def test_a_tree_that_cannot_be_used_is_one_line(text: str, message: str, hint: str | None) -> None:
    Path("conf/config.yaml").write_text(text, encoding="utf-8")
    assert problem() == (message, hint)


@pytest.mark.parametrize(
    ("token", "message", "hint"),
    [
        (
            "hydra.overrides=optimizer.lrr=1",
            "`conf/config.yaml` with `optimizer.lrr=1` cannot be composed: Could not override 'optimizer.lrr'",
            "an override changes what is there: check its name",
        ),
        (
            "hydra.overrides=optimizer",
            "`conf/config.yaml` with `optimizer` cannot be composed: Error parsing override 'optimizer'",
            "write overrides as Hydra does: `GROUP=CHOICE` and `key.below=VALUE`",
        ),
        (
            "hydra.overrides=optimizer=lion",
            "`conf/config.yaml` with `optimizer=lion` cannot be composed: In 'config': Could not find 'optimizer/lion'",
            "there are adam, sgd",
        ),
        (
            "hydra.map.train.lr=optimizer.lrr",
            "`hydra.map.train.lr=optimizer.lrr`: `conf/config.yaml` has no `optimizer.lrr`",
            "did you mean `optimizer.lr`?",
        ),
        ("hydra.map.trian.lr=epochs", "`hydra.map.trian.lr` names no key of mltool", "did you mean `train`?"),
        (
            "hydra.map.lr=epochs",
            "`hydra.map.lr` names no key of mltool",
            "write it with its section, as `hydra.map.train.lr`",
        ),
        ("hydra.map.train.lrr=epochs", "conf/config.yaml:epochs: unknown key `train.lrr`", "did you mean `train.lr`?"),
    ],
)
def test_a_mistake_in_the_section_is_one_line(token: str, message: str, hint: str | None) -> None:
    assert problem(token) == (message, hint)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("conf/nothing.yaml", "`hydra.config=conf/nothing.yaml` does not exist in `"),
        ("conf", "`hydra.config=conf` is a folder"),
        ("conf/config.yml", "`hydra.config=conf/config.yml` does not end in `.yaml`"),
        ("conf/latin.yaml", "a file of `conf` is not plain UTF-8 text"),
    ],
)
def test_a_file_that_hydra_cannot_read_is_named(file: str, message: str) -> None:
    Path("conf/config.yml").write_text("epochs: 1\n")
    Path("conf/latin.yaml").write_bytes("name: Zo\xeb\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        train(f"hydra.config={file}")
    assert caught.value.message.startswith(message)


def test_two_files_that_lead_to_each_other_are_a_circle() -> None:
    put("conf/config.yaml", "defaults: [other]\n")
    put("conf/other.yaml", "defaults: [config]\n")
    assert problem()[0] == "`conf/config.yaml` leads back to itself in its `defaults`"


@pytest.mark.parametrize("token", ["hydra.overrides=a=1", "hydra.map.train.lr=lr"])
def test_the_section_needs_a_tree(token: str) -> None:
    with pytest.raises(ConfigError, match="`hydra` says nothing without a tree"):
        train(token)
