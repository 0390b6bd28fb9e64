"""How sizes are written, the smallest as the largest."""

from __future__ import annotations

import pytest

from mltool.core import units


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_sizes_are_written_in_binary_units(num_bytes: int, said: str) -> None:
    assert units.size(num_bytes) == said
