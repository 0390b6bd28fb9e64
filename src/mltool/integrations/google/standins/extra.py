"""The stand-ins are made of packages that deploying itself does not take."""

from __future__ import annotations

import os
from importlib.util import find_spec

from mltool.core.errors import MltoolError

_PACKAGES = ("gcp_storage_emulator", "googleapiclient")


def expect_extra() -> None:
    """Raises: MltoolError: A package that only the stand-ins take is not installed, or this system is none for them."""
    if os.name != "posix":
        raise MltoolError("the stand-ins of Google Cloud need Linux or macOS")
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MltoolError(
                f"the stand-ins of Google Cloud need `{package}`, which is not installed",
                hint='`pip install "mltool[emulate]"`',
            )
