from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mltool.core.errors import ConfigError, UserCodeError
from mltool.modeling.user_code import import_object, is_user_file, user_code


def test_a_name_is_found_from_the_current_folder(write: Callable[[str, str], Path]) -> None:
    write("pkg/models/net.py", "class Outer:\n    class Inner:\n        value = 3\n")
    assert import_object("pkg.models.net:Outer.Inner", "model.target").value == 3


def test_a_name_is_found_from_the_projects_folder_when_working_below_it(
    write: Callable[[str, str], Path], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mltool.yaml", "version: 1\n")
    write("rooted.py", "value = 1\n")
    below = project / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    assert import_object("rooted:value", "model.target") == 1


@pytest.mark.parametrize("path", ["net", "net:", ":Net", ""])
def test_a_path_without_module_and_name_is_refused_with_its_form(path: str) -> None:
    with pytest.raises(ConfigError, match=f"`model.target={path}` is no import path") as caught:
        import_object(path, "model.target")
    assert "package.module:Name" in str(caught.value.hint)


def test_a_module_that_is_not_there_is_named_with_the_folder(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no module `nowhere`") as caught:
        import_object("nowhere.models:Net", "model.target")
    assert str(project) in caught.value.message
    assert caught.value.exit_code == 2


def test_a_name_that_is_not_in_the_module_lists_those_that_are(write: Callable[[str, str], Path]) -> None:
    write("shelf.py", "class Net: ...\nclass Other: ...\n")
    with pytest.raises(ConfigError, match="`shelf` has no `Nett`") as caught:
        import_object("shelf:Nett", "model.target")
    assert caught.value.hint == "it has Net, Other"


def test_a_module_that_raises_shows_its_own_file_line_and_text(write: Callable[[str, str], Path]) -> None:
    write("raising.py", "import math\n\nRATE = {}['lr']\n")
    with pytest.raises(UserCodeError) as caught:
        import_object("raising:Net", "model.target")
    assert caught.value.message == "importing `raising` failed at raising.py:3 (`RATE = {}['lr']`): KeyError: 'lr'"
    assert caught.value.exit_code == 1


def test_a_syntax_error_shows_its_file_line_and_text(write: Callable[[str, str], Path]) -> None:
    write("typo.py", "x = 1\ndef forward(self x):\n    pass\n")
    with pytest.raises(UserCodeError, match=r"at typo\.py:2 \(`def forward\(self x\):`\): SyntaxError"):
        import_object("typo:Net", "model.target")


def test_a_module_that_exits_while_it_is_imported_does_not_end_mltool(write: Callable[[str, str], Path]) -> None:
    write("script.py", "import sys\nsys.exit('usage: script.py DATA')\n")
    with pytest.raises(UserCodeError, match=r"script\.py:2 .*SystemExit: usage"):
        import_object("script:Net", "model.target")


def test_a_library_that_the_users_module_lacks_is_not_taken_for_the_module_itself(
    write: Callable[[str, str], Path],
) -> None:
    write("trainlib.py", "import train\n")  # `train` is the beginning of `trainlib`
    with pytest.raises(UserCodeError, match=r"trainlib\.py:1 .*No module named 'train'"):
        import_object("trainlib:Net", "model.target")


def test_the_innermost_line_of_the_user_is_named_when_a_library_raises(write: Callable[[str, str], Path]) -> None:
    write("deep.py", "import json\ndef outer():\n    return inner()\ndef inner():\n    return json.loads('{')\n")
    function = import_object("deep:outer", "data.target")
    with (
        pytest.raises(UserCodeError, match=r"deep\.py:5 \(`return json\.loads\('\{'\)`\): JSONDecodeError"),
        user_code("it"),
    ):
        function()


def test_mltools_own_errors_and_interrupts_pass_through() -> None:
    with pytest.raises(KeyboardInterrupt), user_code("it"):
        raise KeyboardInterrupt
    with pytest.raises(ConfigError, match="as it was"), user_code("it"):
        raise ConfigError("as it was")


def test_a_project_whose_name_begins_like_the_package_is_still_the_users() -> None:
    package = Path(import_object("mltool:__file__", "x")).parent
    assert not is_user_file(str(package / "verbs" / "training.py"))
    assert is_user_file(f"{package}-project/model.py")
    assert not is_user_file("/venv/lib/python3.12/site-packages/torch/nn/modules/module.py")
