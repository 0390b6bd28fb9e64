from __future__ import annotations

import pytest

from mltool.core.errors import ConfigError
from mltool.core.moments import moment, shown

NOW_S = 1_795_680_000.0


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("90m", NOW_S - 5_400),
        ("1.5h", NOW_S - 5_400),
        ("24h", NOW_S - 86_400),
        (" 7d ", NOW_S - 604_800),
        ("2w", NOW_S - 1_209_600),
        ("30s", NOW_S - 30),
        ("1970-01-02", 86_400.0),
        ("1970-01-01T01:00", 3_600.0),
        ("1970-01-01T01:00+01:00", 0.0),
        ("1970-01-01T00:00:05Z", 5.0),
    ],
)
def test_a_moment_is_so_long_ago_or_a_date_in_utc(text: str, expected_s: float) -> None:
    assert moment(text, "monitor.since", NOW_S) == expected_s


@pytest.mark.parametrize("text", ["", "yesterday", "24", "-1h", "1 h", "2026-13-01"])
def test_what_is_no_moment_is_refused_by_its_key(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"`monitor\.since` is `{text}`, but a moment is needed"):
        moment(text, "monitor.since", NOW_S)


def test_a_moment_is_shown_in_utc() -> None:
    assert shown(NOW_S) == "2026-11-26 08:00"
