from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mltool.core.errors import ConfigError
from mltool.core.registry import Family
from mltool.modeling.config import networks
from mltool.runtimes.config import backends


def test_names_are_known_without_importing_a_choice() -> None:
    code = (
        "import sys; from mltool.modeling.config import networks; from mltool.runtimes.config import backends;"
        "print(networks.names(), backends.names());"
        "print(*[n for n in sys.modules if n.startswith(('mltool.modeling.n', 'mltool.runtimes.b', 'torch', 'onnx'))])"
    )
    names, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "'mlp'" in names
    assert "'torch'" in names
    assert set(loaded.split()) <= {"mltool.modeling.networks", "mltool.runtimes.backends"}


def test_a_module_is_a_choice_and_a_helper_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "registry_trial_choices"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "square.py").write_text("def build(x):\n    return x * x\n", encoding="utf-8")
    (package / "_helper.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (package / "broken.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    family: Family[type] = Family("shape", "registry_trial_choices", "build")
    assert family.names() == ("broken", "square")
    assert family.load("square")(3) == 9
    with pytest.raises(ConfigError):
        family.load("_helper")


@pytest.mark.parametrize(
    ("name", "hint"), [("resnett", "did you mean `resnet`?"), ("zzz", "known are cnn, mlp, resnet"), ("", None)]
)
def test_an_unknown_choice_is_refused_with_the_nearest(name: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        networks.load(name)
    assert caught.value.message == f"unknown network `{name}`"
    assert caught.value.hint == (hint or "known are cnn, mlp, resnet")


def test_a_choice_of_another_distribution_comes_by_its_entry_point() -> None:
    from mltool.modeling.rebuild.eager import load

    assert {"onnxruntime", "torch"} <= set(backends.names())
    assert backends.load("torch") is load


def test_a_family_without_a_package_has_no_names() -> None:
    family: Family[type] = Family("thing", "mltool_no_such_package", "build")
    assert family.names() == ()
