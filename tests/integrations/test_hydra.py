"""A project's own Hydra tree, composed by the real Hydra, as the lowest source of settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hydra_testing import CONFIG, FILES, problem, put, train, tree

import mltool
from mltool.cli.app import run
from mltool.core.errors import ConfigError
from mltool.verbs.jobs import resolved
from user_project import project, said, write

__all__ = ["project", "said", "tree", "write"]


# What is taken ------------------------------------------------------------------------------------------------------


def test_common_names_are_taken_and_each_says_where_it_comes_from(said: list[str]) -> None:
    plan = train(CONFIG)
    job = plan.config
    assert (job.train.epochs, job.train.seed, job.train.lr, job.train.optimizer) == (7, 3, 1e-3, "adam")
    assert (job.model.target, job.model.args) == ("src.net:Net", {"hidden": 16, "dropout": 0.1})
    assert plan.origins["train.lr"] == "conf/config.yaml:optimizer.lr"
    assert plan.origins["model.target"] == "conf/config.yaml:model._target_"
    assert said[0].startswith(
        "`conf/config.yaml` (model=small, optimizer=adam) gives model.target from model._target_, "
    )
    assert "train.lr from optimizer.lr" in said[0]
    assert said[1] == "left alone in it: width, output; `hydra.map.KEY=PATH` takes more"


def test_what_torch_does_by_default_is_kept_where_mltool_would_do_something_else() -> None:
    assert train(CONFIG).config.train.weight_decay == 0.0
    plan = train(CONFIG, "hydra.overrides=optimizer=sgd")
    assert (plan.config.train.weight_decay, plan.config.train.momentum) == (5e-4, 0.0)
    assert plan.origins["train.momentum"] == "conf/config.yaml:optimizer (what torch.optim.SGD does)"


def test_groups_and_values_are_overridden_in_hydras_own_words() -> None:
    plan = train(CONFIG, "hydra.overrides=model=wide,optimizer.lr=0.5")
    assert (plan.config.model.target, plan.config.model.args) == ("src.net:Wide", {"channels": [8, 16]})
    assert plan.config.train.lr == 0.5


def test_all_that_is_written_for_mltool_goes_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    put("mltool.yaml", "hydra:\n  config: conf/config.yaml\ntrain:\n  lr: 0.2\n  epochs: 2\n")
    monkeypatch.setenv("MLTOOL_TRAIN__EPOCHS", "4")
    plan = train("seed=9", "model.args.dropout=0.5")
    assert (plan.config.train.lr, plan.config.train.epochs, plan.config.train.seed) == (0.2, 4, 9)
    assert plan.config.model.args == {"hidden": 16, "dropout": 0.5}
    assert plan.origins["train.lr"] == "mltool.yaml:4"
    assert plan.origins["train.optimizer"] == "conf/config.yaml:optimizer._target_"


def test_the_tree_is_found_from_a_folder_below_the_project(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    put("mltool.yaml", "hydra:\n  config: conf/config.yaml\n")
    np.savez("points.npz", inputs=np.zeros((3, 2), np.float32), labels=np.arange(3))
    put("conf/config.yaml", textwrap.dedent(FILES["conf/config.yaml"]) + "data_path: points.npz\n")
    (tree / "notebooks").mkdir()
    monkeypatch.chdir(tree / "notebooks")
    plan = train()
    assert plan.config.train.epochs == 7
    assert Path(plan.config.data.source) == tree / "points.npz"


def test_only_the_sections_of_a_verb_are_taken(said: list[str]) -> None:
    plan = resolved("data add", [CONFIG])
    assert plan.config.data == type(plan.config.data)()
    assert said[0].endswith(" gives nothing")
    assert resolved("import", [CONFIG]).config.model.target == "src.net:Net"
    assert resolved("tune", [CONFIG]).config.train.epochs == 7


@pytest.mark.parametrize("name", ["num_epochs", "max_epochs", "n_epochs"])
def test_the_names_of_other_tools_are_known_at_any_depth(name: str) -> None:
    put("conf/plain.yaml", f"trainer:\n  {name}: 11\n  max_grad_norm: 0.5\ndata:\n  batch_size: 8\n  img_size: 32\n")
    job = train("hydra.config=conf/plain.yaml").config
    assert (job.train.epochs, job.train.clip_norm, job.train.batch_size, job.data.image_size) == (11, 0.5, 8, 32)


def test_two_places_with_two_values_are_said_and_not_guessed(said: list[str]) -> None:
    put("conf/two.yaml", "encoder:\n  lr: 0.1\ndecoder:\n  lr: 0.2\nepochs: 3\n")
    plan = train("hydra.config=conf/two.yaml")
    assert "train.lr" not in plan.origins
    assert "`train.lr` may be `encoder.lr` and `decoder.lr`: say which with `hydra.map.train.lr=encoder.lr`" in said
    chosen = train("hydra.config=conf/two.yaml", "hydra.map.train.lr=decoder.lr")
    assert (chosen.config.train.lr, chosen.origins["train.lr"]) == (0.2, "conf/two.yaml:decoder.lr")


def test_two_places_with_the_same_value_are_one() -> None:
    put("conf/same.yaml", "lr: 0.1\nscheduler:\n  lr: ${lr}\n")
    plan = train("hydra.config=conf/same.yaml")
    assert (plan.config.train.lr, plan.origins["train.lr"]) == (0.1, "conf/same.yaml:lr")


def test_the_network_inside_a_module_that_cannot_be_built_from_plain_data_is_taken() -> None:
    put(
        "conf/template.yaml",
        """
        model:
          _target_: src.lit.LitModule
          net:
            _target_: src.net.Net
            hidden: 8
          optimizer:
            _target_: torch.optim.AdamW
            _partial_: true
            lr: 0.01
        """,
    )
    job = train("hydra.config=conf/template.yaml").config
    assert (job.model.target, job.model.args) == ("src.net:Net", {"hidden": 8})
    assert (job.train.optimizer, job.train.lr, job.train.weight_decay) == ("adamw", 0.01, 0.01)


def test_what_the_network_takes_by_itself_is_no_key_of_the_training() -> None:
    put("conf/lit.yaml", "model:\n  _target_: src.lit.Lit\n  lr: 0.01\n  seed: 3\nepochs: 4\n")
    plan = train("hydra.config=conf/lit.yaml")
    assert plan.config.model.args == {"lr": 0.01, "seed": 3}
    assert {"train.lr", "train.seed"}.isdisjoint(plan.origins)
    assert plan.config.train.epochs == 4


def test_a_map_takes_values_whole_nodes_and_nothing() -> None:
    put("conf/own.yaml", "net_parameters:\n  hidden: 8\n  norm: true\nhp:\n  rate: 0.3\nepochs: 5\nseed: 1\n")
    put(
        "mltool.yaml",
        """
        hydra:
          config: conf/own.yaml
          map:
            train.lr: hp.rate
            train.seed: null
            model:
              args: net_parameters
        """,
    )
    plan = train()
    assert (plan.config.train.lr, plan.config.train.seed, plan.config.train.epochs) == (0.3, 0, 5)
    assert plan.config.model.args == {"hidden": 8, "norm": True}
    assert plan.origins["model.args"] == "conf/own.yaml:net_parameters.norm"


def test_a_path_to_data_is_taken_if_it_is_there() -> None:
    Path("raw").mkdir()
    put("conf/data.yaml", "data:\n  root: raw\npaths:\n  data_dir: nowhere\n")
    plan = train("hydra.config=conf/data.yaml")
    assert (plan.config.data.source, plan.origins["data.source"]) == ("raw", "conf/data.yaml:data.root")


def test_a_value_that_cannot_be_resolved_is_no_matter_where_nobody_needs_it(said: list[str]) -> None:
    put("conf/odd.yaml", "epochs: 5\narea: ${mul:2,3}\ngone: ${nope.here}\nkey: ???\n")
    assert train("hydra.config=conf/odd.yaml").config.train.epochs == 5
    assert any(text.startswith("left alone in it: area, gone, key; ") for text in said)


def test_no_secret_of_the_environment_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    put("conf/secret.yaml", "vault: ${oc.env:MLTEST_SECRET}\nmodel:\n  _target_: a.B\n  key: ${vault}-1\n  n: 3\n")
    plan = train("hydra.config=conf/secret.yaml")
    assert plan.config.model.args == {"key": "sesame-1", "n": 3}
    assert plan.stored["model"]["args"] == {"key": "${oc.env:MLTEST_SECRET}-1", "n": 3}
    assert "sesame" not in json.dumps([plan.values, plan.stored, plan.origins])


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("key: ${oc.env:MLTEST_SECRET}-${seed}", "${oc.env:MLTEST_SECRET}-3"),
        ("key: ${oc.decode:${oc.env:MLTEST_SECRET}}", "${oc.decode:${oc.env:MLTEST_SECRET}}"),
        ("key: ${oc.decode:${vault}}", "${oc.decode:${oc.env:MLTEST_SECRET}}"),
        ("key: ${oc.env:${name}}", "${oc.env:MLTEST_SECRET}"),
    ],
)
def test_no_secret_is_stored_that_is_mixed_with_something_else(
    monkeypatch: pytest.MonkeyPatch, written: str, kept: str
) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    above = "vault: ${oc.env:MLTEST_SECRET}\nname: MLTEST_SECRET\nseed: 3\n"
    put("conf/secret.yaml", f"{above}model:\n  _target_: a.B\n  {written}\n")
    plan = train("hydra.config=conf/secret.yaml")
    assert plan.config.model.args["key"].startswith("sesame")
    assert plan.stored["model"]["args"] == {"key": kept}
    assert "sesame" not in json.dumps([plan.values, plan.stored, plan.origins])


def test_no_secret_is_stored_that_an_alias_of_a_node_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    put("conf/secret.yaml", "base:\n  _target_: a.B\n  key: ${oc.env:MLTEST_SECRET}\n  n: 3\nmodel: ${base}\n")
    plan = train("hydra.config=conf/secret.yaml")
    assert plan.config.model.args == {"key": "sesame", "n": 3}
    assert plan.stored["model"]["args"] == {"key": "${oc.env:MLTEST_SECRET}", "n": 3}


@pytest.mark.parametrize(
    "written",
    [
        "key: ['${oc.env:MLTEST_SECRET}']",
        "key: ['${vault}', 1]",
        "key: ${.other}\n  other: ${oc.env:MLTEST_SECRET}",
        "key: ${keys[0]}",
        "key: ${oc.select:vault}",
        "key: ${oc.create:{inner:'${oc.env:MLTEST_SECRET}'}}",
        "key: ${oc.dict.values:names}",
        "key: ${hydra:job.env_set.MLTEST_SECRET}",
        "key: ${names.${oc.env:MLTEST_SECRET}}",
        "key: ${lacking.${oc.env:MLTEST_SECRET}}",
    ],
)
def test_a_secret_that_no_text_can_stand_for_is_not_taken(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    above = (
        "hydra:\n  job:\n    env_set:\n      MLTEST_SECRET: ${oc.env:MLTEST_SECRET}\n"
        "vault: ${oc.env:MLTEST_SECRET}\nkeys: ['${vault}']\nnames:\n  sesame: ${vault}\n"
    )
    put("conf/secret.yaml", f"{above}model:\n  _target_: a.B\n  {written}\n")
    with pytest.raises(ConfigError) as caught:
        train("hydra.config=conf/secret.yaml")
    assert caught.value.message == (
        "conf/secret.yaml:model.key cannot be taken for `model.args.key`: "
        "it comes from `MLTEST_SECRET` of the environment in a way that cannot be stored as text"
    )
    assert caught.value.hint == (
        "leave it with `hydra.map.model.args.key=null`, "
        "and write `model.args.key: ${oc.env:MLTEST_SECRET}` in mltool.yaml"
    )
    put("mltool.yaml", "model:\n  args:\n    key: ${oc.env:MLTEST_SECRET}\n")
    plan = train("hydra.config=conf/secret.yaml", "hydra.map.model.args.key=null", "hydra.map.model.args.other=null")
    assert (plan.config.model.args, plan.stored["model"]["args"]) == (
        {"key": "sesame"},
        {"key": "${oc.env:MLTEST_SECRET}"},
    )


@pytest.mark.parametrize(
    "written",
    [
        "hydra.overrides=+model.key=${oc.env:MLTEST_SECRET}",
        "hydra.overrides=['+model.key=${oc.env:MLTEST_SECRET}', 'epochs=2']",
    ],
)
def test_no_secret_is_stored_that_an_override_brings(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    plan = train(CONFIG, written)
    assert plan.config.model.args["key"] == "sesame"
    assert plan.stored["model"]["args"]["key"] == "${oc.env:MLTEST_SECRET}"
    assert "sesame" not in json.dumps([plan.values, plan.stored, plan.origins])


def test_an_override_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    message, hint = problem("hydra.overrides=['+model.key=${oc.env:MLTEST_SECRET}")
    assert "sesame" not in f"{message}{hint}"


def test_a_value_that_only_stands_beside_a_secret_is_stored_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLTEST_SECRET", "sesame")
    put("conf/secret.yaml", "vault: ${oc.env:MLTEST_SECRET}\nepochs: 4\nlr: ${rate}\nrate: 0.5\n")
    plan = train("hydra.config=conf/secret.yaml")
    assert (plan.stored["train"]["epochs"], plan.stored["train"]["lr"]) == (4, 0.5)
    from omegaconf import OmegaConf

    assert OmegaConf.create({"key": "${oc.env:MLTEST_SECRET}"}).key == "sesame"


# What is left as it was ---------------------------------------------------------------------------------------------


def test_nothing_of_the_project_is_imported_and_nothing_is_written(tree: Path) -> None:
    put("src/net.py", "raise SystemExit('imported')\n")
    put("src/__init__.py", "raise SystemExit('imported')\n")
    put("hydra_plugins/spy/__init__.py", "raise SystemExit('imported')\n")
    before = {path.relative_to(tree) for path in tree.rglob("*")}
    code = (
        "import sys, os; sys.path.insert(0, os.getcwd()); from mltool.verbs.jobs import resolved\n"
        f"resolved('train', ['{CONFIG}']); from hydra.core.global_hydra import GlobalHydra\n"
        "print(GlobalHydra().is_initialized(), os.getcwd(), sys.path[0])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert process.stdout.split() == ["False", str(tree), str(tree)], process.stderr
    assert {path.relative_to(tree) for path in tree.rglob("*")} == before


@pytest.mark.parametrize(
    "search_path",
    [
        r'"pkg:\x2f/evilpkg"',
        '"${scheme}://evilpkg"',
        "'${oc.env:MLTEST_PATH}'",
        "structured://evilpkg",
    ],
)
def test_no_package_is_run_to_look_for_configs_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, search_path: str, tree: Path
) -> None:
    monkeypatch.setenv("MLTEST_PATH", "pkg://evilpkg")
    monkeypatch.syspath_prepend(tree / "packages")
    put("packages/evilpkg/__init__.py", "raise SystemExit('imported')\n")
    put("conf/config.yaml", f"scheme: pkg\nhydra:\n  searchpath: [{search_path}]\nepochs: 3\n")
    with pytest.raises(ConfigError, match="which would run its code"):
        train(CONFIG)
    put("conf/config.yaml", "epochs: 3\n")
    with pytest.raises(ConfigError, match="which would run its code"):
        train(CONFIG, hydra={"overrides": ["hydra.searchpath=['pkg://evilpkg']"]})
    assert train(CONFIG).config.train.epochs == 3


def test_a_hydra_application_around_it_keeps_its_own_config(tree: Path) -> None:
    put("app/main.yaml", "mine: 1\n")
    code = (
        "import hydra, os; from mltool.verbs.jobs import resolved\n"
        "from hydra.core.hydra_config import HydraConfig\n"
        "with hydra.initialize_config_dir(os.getcwd() + '/app', version_base=None):\n"
        "    HydraConfig.instance().set_config(hydra.compose('main', return_hydra_config=True))\n"
        f"    print(resolved('train', ['{CONFIG}']).config.train.epochs)\n"
        "    print(HydraConfig.get().job.config_name, hydra.compose('main').mine)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert process.stdout.split() == ["7", "main", "1"], process.stderr


def test_without_the_section_hydra_is_not_loaded() -> None:
    code = "import sys; from mltool.verbs.jobs import resolved; resolved('train'); print('hydra' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False"]


# The whole way ------------------------------------------------------------------------------------------------------


def test_a_model_is_trained_and_searched_from_a_tree_and_stores_the_values(
    capsys: pytest.CaptureFixture[str], tree: Path
) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    np.savez("points.npz", inputs=random.normal(size=(120, 4)).astype(np.float32) + labels[:, None], labels=labels)
    put(
        "src/net.py",
        """
        from torch import nn

        class Net(nn.Sequential):
            def __init__(self, hidden, dropout):
                super().__init__(nn.Linear(4, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2))
        """,
    )
    put("conf/config.yaml", textwrap.dedent(FILES["conf/config.yaml"]) + "data_path: points.npz\n")
    assert run(["train", CONFIG, "name=demo", "hydra.overrides=epochs=2"]) == 0
    capsys.readouterr()
    stored = mltool.load("demo").config
    assert (stored["train"]["epochs"], stored["train"]["lr"], stored["data"]["source"]) == (2, 1e-3, "points.npz")
    assert stored["model"] == {"name": "auto", "target": "src.net:Net", "args": {"hidden": 16, "dropout": 0.1}}
    assert "hydra" not in stored
    found = mltool.tune(CONFIG, "trials=2", "hydra.overrides=epochs=1", "space.model.args.hidden=4..8")
    assert found.command.startswith("mltool train hydra.config=conf/config.yaml 'hydra.overrides=[epochs=1]' ")
    assert "target: src.net:Net" in found.best_path.read_text()


def test_print_config_shows_the_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", CONFIG, "--print-config"]) == 0
    out, err = capsys.readouterr()
    assert "lr: 0.001" in out
    assert "# conf/config.yaml:optimizer.lr" in out
    assert "train.lr from optimizer.lr" in err
