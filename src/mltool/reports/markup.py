"""Text to HTML: what is not already `Html` is escaped, so that a class named `<script>` stays a name."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable
from numbers import Integral, Real

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


NOTHING = "\u2013"
MINUS = "\u2212"
_SPACE = "\u00a0"  # keeps a number and its unit on one line


class Html(str):
    """Text that is HTML already; every other string is escaped on its way into a page."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Make any value safe as text or as an attribute; what UTF-8 or HTML cannot hold becomes U+FFFD."""
    return value if isinstance(value, Html) else Html(html.escape(_CONTROL.sub("\ufffd", str(value))))


def join(parts: Iterable[object], separator: str = "") -> Html:
    return Html(separator.join(escape(part) for part in parts))


def number(value: object) -> str:
    """A number for people: four significant digits, thousands apart, a true minus, a dash for nothing."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", MINUS)
    if not isinstance(value, Real):
        return str(value)
    real = float(value)
    if math.isnan(real):
        return "NaN"
    size = abs(real)
    if math.isinf(real):
        text = "∞"
    elif size == 0:
        return "0"
    elif size >= 1e9 or size < 1e-4:
        mantissa, exponent = f"{size:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    elif size < 0.01:
        text = f"{size:#.3g}"
    else:
        text = f"{size:,.{min(4, max(0, 3 - math.floor(math.log10(size))))}f}"
    return MINUS + text if real < 0 else text


def percent(share: float) -> str:
    """A fraction of 1 as a percentage; never `0 %` or `100 %` for what is not quite that."""
    if not math.isfinite(share):
        return NOTHING
    if 0 < share < 0.001:
        return f"<0.1{_SPACE}%"
    if 0.999 < share < 1:
        return f">99.9{_SPACE}%"
    return f"{100 * share:.{0 if share in (0, 1) else 1}f}{_SPACE}%"


def text_width(text: str) -> float:
    """Width in units of a Latin letter; East Asian letters take about two."""
    return sum(1.85 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


def shorten(text: object, width: int) -> str:
    """Cut `text` to `width` letters, with an ellipsis in the place of what is gone."""
    text = " ".join(str(text).split())
    if text_width(text) <= width:
        return text
    while text and text_width(text) > width - 1:
        text = text[:-1]
    return text + "…"


def moment(created_utc: str) -> str:
    """An ISO 8601 time in UTC as people write it."""
    return f"{created_utc[:16].replace('T', ' ')} UTC" if created_utc else ""


def prose(text: object) -> Html:
    """A sentence for people: what stands in backticks is set as code."""
    return Html(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))
