"""What all plots share: scales, ticks, axes and the frame. Colours come from the page's style sheet.

Plots are drawn about 460 units wide, so that their text keeps its size on a phone and in two columns on a desk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mltool.reports.markup import MINUS, Html, escape, join, number, shorten, text_width

NUM_COLOURS = 6
"""Size of the palette; colours also differ by dash or shape, so nothing depends on colour alone."""

LETTER = 7.0
"""Width of a letter of plot text, in units: the mean of a wide font, so that names fit in others too."""

_HUGE = 1e150  # spans of larger numbers overflow


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values in `[low, high]` to units from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    step: float = 1.0
    """Distance of the ticks on a linear scale."""
    marks: tuple[float, ...] = ()
    """Where the ticks stand instead, where whole steps would say less."""
    names: tuple[str, ...] = ()
    """What the ticks at 0, 1, 2 and so on are called, where the values are choices."""

    def __call__(self, value: float) -> float:
        low, high, value = self.low, self.high, max(-_HUGE, min(_HUGE, value))
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Positions in units and their text."""
        if self.names:
            room = int(abs(self.end - self.start) / len(self.names) / LETTER)
            return [(self(index), shorten(name, max(2, room))) for index, name in enumerate(self.names)]
        if self.marks:
            return self._marks_apart()
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first) / 5))
            return [(self(10.0**power), _power(power)) for power in range(first, last + 1, stride)]
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        return [(self(index * self.step), tick_text(index * self.step, self.step)) for index in range(first, last + 1)]

    def _marks_apart(self) -> list[tuple[float, str]]:
        """The marks whose texts have room beside those before them."""
        shown: list[tuple[float, str]] = []
        for value in sorted(self.marks):
            label = number(int(value) if value == int(value) else value)
            if (
                not shown
                or self(value) - shown[-1][0] > LETTER * (text_width(label) + text_width(shown[-1][1])) / 2 + 6
            ):
                shown.append((self(value), label))
        return shown


def scale(values: Iterable[float], start: float, end: float, *, zero: bool = False, log: bool = False) -> Scale:
    """A scale over the finite `values`, rounded outwards to whole steps; whole values get whole ticks.

    Args:
        values: Positive if `log`.
        start: Where the lowest value lies, in units.
        end: Where the highest lies.
        zero: Begin at 0.
        log: Use decades.
    """
    finite = [max(-_HUGE, min(_HUGE, float(value))) for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if log:
        powers = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        return Scale(10.0 ** powers[0], 10.0 ** max(powers[1], powers[0] + 1), start, end, log=True)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-290):
        margin = abs(high) / 2 if abs(high) > 1e-290 else 1.0
        low, high = (0.0, 1.0) if zero and high == 0 else (low - margin, high + margin)
    whole = all(value.is_integer() for value in finite)
    step = _nice_step((high - low) / 4, whole=whole)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return Scale(low, high, start, end, step=step)


def _nice_step(rough: float, *, whole: bool) -> float:
    if whole and rough <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(
        (factor * power for factor in ((1, 2, 5) if whole else (1, 2, 2.5, 5)) if factor * power >= rough * 0.999),
        10 * power,
    )


def _power(power: int) -> str:
    if -4 <= power <= 4:
        return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"
    return f"1e{power}".replace("-", MINUS)


def tick_text(value: float, step: float) -> str:
    """`value` with as many decimals as ticks `step` apart need."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or step < 5e-4:
        mantissa, exponent = f"{value:.{max(0, min(6, math.floor(math.log10(abs(value) / step) + 1.3)))}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") and step < 10 else 0)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def text(x: float, y: float, content: object, *, css: str = "", anchor: str = "start", extra: str = "") -> Html:
    """One line of text; `anchor` is start, middle or end, `extra` more attributes."""
    css = f' class="{css}"' if css else ""
    anchor = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return Html(f'<text x="{x:g}" y="{y:g}"{css}{anchor}{extra}>{escape(content)}</text>')


def axes(x: Scale, y: Scale, x_label: object, y_label: object) -> Html:
    """Horizontal grid lines, tick texts, and both labels lying flat: nobody turns the head to read."""
    parts: list[Html] = []
    for position, tick in y.ticks():
        parts.append(Html(f'<path class="grid" d="M{x.start:g} {position:g}H{x.end:g}"/>'))
        parts.append(text(x.start - 8, position + 4, tick, anchor="end"))
    for position, tick in x.ticks():
        parts.append(Html(f'<path class="tick" d="M{position:g} {y.start:g}v4"/>'))
        parts.append(text(position, y.start + 18, tick, anchor="middle"))
    parts.append(Html(f'<path class="axis" d="M{x.start:g} {y.start:g}H{x.end:g}"/>'))
    parts.append(text(0, 12, y_label, css="label"))
    parts.append(text((x.start + x.end) / 2, y.start + 36, x_label, css="label", anchor="middle"))
    return join(parts)


def tooltip(content: object) -> Html:
    return Html(f"<title>{escape(content)}</title>")


def figure(
    width: float, height: float, title: str, body: Iterable[object], *, note: str = "", wide: bool = False
) -> Html:
    """Frame a plot: read aloud by `title`, with `note` as a caption below it.

    Args:
        wide: Keep the plot at its own size on a narrow screen, and let it scroll.
    """
    natural = f' style="min-width:{width:g}px"' if wide else ""
    caption = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    frame = (
        f'<svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"{natural}>'
        f"<title>{escape(title)}</title>{join(body)}</svg>"
    )
    if wide:
        frame = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(title)}">{frame}</div>'
    return Html(f'<figure class="plot">{frame}{caption}</figure>')


def nothing_to_draw(title: str) -> Html:
    return Html(f'<p class="empty">{escape(title)}: nothing to draw</p>')
