from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mltool.artifacts import digest
from mltool.modeling.rebuild.recipe import source_digest

CODE = """
    import functools
    from torch import nn

    class Net(nn.Module):
        pass

    def make():
        return nn.Sequential(nn.Linear(2, 2))

    ready = Net()
    half_made = functools.partial(nn.Linear, 2, 2)
"""


@pytest.mark.parametrize("name", ["Net", "make", "ready"])
def test_the_source_of_a_network_is_the_users_file_and_not_torchs(name: str, write: Callable[[str, str], Path]) -> None:
    path = write("rebuilt.py", CODE)
    assert source_digest(f"rebuilt:{name}") == digest.of_file(path)


def test_what_has_no_file_has_no_digest(write: Callable[[str, str], Path]) -> None:
    write("rebuilt.py", CODE)
    assert source_digest("rebuilt:half_made") in (None, digest.of_file(Path(__import__("functools").__file__)))
