from __future__ import annotations

import subprocess
import sys

import pytest

import mltool
from mltool import verbs


def in_a_fresh_interpreter(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_public_name_resolves() -> None:
    code = "import mltool; print(*(getattr(mltool, name).__name__ for name in mltool.__all__))"
    names = [name.rpartition(".")[2] for name in in_a_fresh_interpreter(code).split()]
    assert names == mltool.__all__


def test_a_group_of_verbs_can_be_imported_by_its_name() -> None:
    code = "from mltool import data, models; print(*data.__all__, data.list(), models.list())"
    assert in_a_fresh_interpreter(code).endswith("[] []\n")


def test_the_public_names_are_these_and_no_others() -> None:
    assert mltool.__all__ == sorted(mltool.__all__)
    assert dir(mltool) == mltool.__all__
    assert mltool.__all__ == [
        "Model", "checklist", "compile_model", "data", "deploy", "doctor", "errors", "evaluate", "gcp",
        "import_model", "load", "models", "monitor", "predict", "profile", "quantize", "run", "save", "serve",
        "train", "tune",
    ]  # fmt: skip


def test_importing_mltool_loads_no_other_part_of_it_and_no_library() -> None:
    loaded = in_a_fresh_interpreter("import sys, mltool; print(*sys.modules)").split()
    assert [name for name in loaded if name.startswith("mltool")] == ["mltool"]
    assert not {"numpy", "torch", "onnxruntime", "yaml", "omegaconf"} & set(loaded)


def test_a_star_import_brings_the_verbs() -> None:
    assert in_a_fresh_interpreter("from mltool import *; print(train.__name__, load.__name__)").split() == [
        "train",
        "load",
    ]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module `mltool` has no attribute `trian`"):
        mltool.trian  # type: ignore[attr-defined]  # noqa: B018


def test_every_verb_has_a_docstring() -> None:
    assert all(getattr(mltool, name).__doc__ for name in mltool.__all__)
    groups = (verbs.data, verbs.models, verbs.monitor)
    assert all(getattr(group, name).__doc__ for group in groups for name in group.__all__)
