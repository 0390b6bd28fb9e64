from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version


def version() -> str:
    """The installed version of mltool, or `0` when it runs from a folder without being installed."""
    try:
        return distribution_version("mltool")
    except PackageNotFoundError:
        return "0"
