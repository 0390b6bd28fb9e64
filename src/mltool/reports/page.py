"""The frame of a report, and the parts that all reports are put together from."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from mltool.reports.markup import NOTHING, Html, escape, join, number, percent, prose
from mltool.reports.style import STYLE

# Even if a label slipped through unescaped, the page could run nothing and fetch nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SIGNS = {"passed": ("✓", "passed"), "failed": ("✗", "failed"), "not_run": ("○", "not run")}
_UNITS = {"ms": "ms", "s": "s", "mib": "MiB", "gib": "GiB"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page; one without a body is left out."""

    title: str
    body: Html
    note: str = ""


def page(
    title: str,
    subtitle: object,
    sections: Sequence[Section],
    *,
    lead: Html = Html(""),  # noqa: B008
    footer: str = "",
    script: str = "",
) -> str:
    """A whole HTML document that needs nothing outside itself.

    Args:
        lead: Stands above the contents.
        script: Run at the end of the page, which may then ask the server that it came from; nothing else can run.
    """
    policy, scripted = _POLICY, ""
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'; connect-src 'self'; form-action 'self'"
        scripted = f"<script>{script}</script>\n"
    kept = [section for section in sections if section.body]
    anchors = _anchors([section.title for section in kept])
    links = join(Html(f'<li><a href="#{a}">{escape(s.title)}</a></li>') for a, s in zip(anchors, kept, strict=True))
    nav = f'<nav aria-label="Contents"><ul>{links}</ul></nav>' if len(kept) > 1 else ""
    parts = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-title"><h2 id="{anchor}-title">{escape(section.title)}</h2>'
        + (f'<p class="note">{escape(section.note)}</p>' if section.note else "")
        + f"{section.body}</section>\n"
        for anchor, section in zip(anchors, kept, strict=True)
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n<div class="wrap">\n'
        f'<header><h1>{escape(title)}</h1><p class="subtitle">{escape(subtitle)}</p>{lead}</header>\n{nav}\n'
        f'<main id="main">\n{parts}</main>\n'
        + (f"<footer>{escape(footer)}</footer>\n" if footer else "")
        + f"</div>\n{scripted}</body>\n</html>\n"
    )


def _anchors(titles: Iterable[str]) -> list[str]:
    anchors: list[str] = []
    for title in titles:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
        anchors.append(slug if slug not in (*anchors, "main") else f"{slug}-{len(anchors)}")
    return anchors


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, label: str = "", css: str = "") -> Html:
    """A table that scrolls by itself on a narrow screen. The first cell names its row; numbers stand at the right.

    Args:
        header: One cell a column.
        rows: Numbers are formatted, `Html` is kept, everything else is escaped.
        label: What the table holds, read aloud.
    """
    cells = [list(row) for row in rows]
    if not cells:
        return Html('<p class="empty">Nothing to list</p>')
    numeric = [
        any(_is_number(row[i]) for row in cells) and all(_is_number(row[i]) or row[i] is None for row in cells)
        for i in range(len(header))
    ]
    css_of = [' class="number"' if is_numeric else "" for is_numeric in numeric]
    head = join(Html(f'<th scope="col"{css_of[i]}>{escape(cell)}</th>') for i, cell in enumerate(header))
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{css_of[i]}>{_cell(value)}</th>' if i == 0 else f"<td{css_of[i]}>{_cell(value)}</td>"
            for i, value in enumerate(row)
        )
        + "</tr>"
        for row in cells
    )
    name = escape(label or join(header, ", "))
    css = f' class="{css}"' if css else ""
    return Html(
        f'<div class="scroll" tabindex="0" role="group" aria-label="{name}"><table{css}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _cell(value: object) -> Html:
    return escape(number(value) if value is None or isinstance(value, Real) else value)


def key_values(values: Mapping[str, Any]) -> Html:
    """Names and values; nested mappings become dotted names."""
    flat = flatten(values)
    if not flat:
        return Html("")
    items = (f"<dt>{escape(key)}</dt><dd>{_verbatim(value)}</dd>" for key, value in flat.items())
    return Html(f"<dl>{''.join(items)}</dl>")


def _verbatim(value: object) -> Html:
    """Settings are shown as they are written: 0.01 is not 0.0100."""
    return escape(NOTHING if value is None else str(value).lower() if isinstance(value, bool) else value)


def grouped_key_values(values: Mapping[str, Any]) -> Html:
    """Key-value lists side by side, one for each nested mapping, the loose values first."""
    loose = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    groups: list[tuple[str, Mapping[str, Any]]] = [("general", loose)] if loose else []
    groups += [(key, value) for key, value in values.items() if isinstance(value, Mapping) and value]
    if len(groups) == bool(loose):
        return key_values(loose)
    lists = (f"<div><h3>{escape(name)}</h3>{key_values(group)}</div>" for name, group in groups)
    return Html(f'<div class="groups">{"".join(lists)}</div>')


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple | Mapping):
            flat[f"{prefix}{key}"] = ", ".join(map(str, value)) or NOTHING
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def share_bar(share: float, words: str = "") -> Html:
    """A fraction of 1 as a small bar and in words, by default as a percentage."""
    width = 5 * share if share > 0 else 0.0
    bar = f'<span class="share"><span style="width:{width:.2f}rem"></span></span>'
    return Html(f'<span class="nowrap">{bar}{escape(words or percent(share))}</span>')


def figures(facts: Iterable[tuple[str, str, str]]) -> Html:
    """The few numbers that head a page: name, number, and a note below or nothing."""
    items = "".join(
        f"<div><dt>{escape(name)}{f'<span>{escape(note)}</span>' if note else ''}</dt><dd>{escape(shown)}</dd></div>"
        for name, shown, note in facts
    )
    return Html(f'<dl class="figures">{items}</dl>') if items else Html("")


def badge(status: str, words: str = "") -> Html:
    """A status as a sign and a word; colour only repeats them."""
    sign, word = _SIGNS.get(status, ("?", status))
    css = status if status in _SIGNS else "not_run"
    return Html(
        f'<span class="badge {css}"><span class="sign" aria-hidden="true">{sign}</span>{escape(words or word)}</span>'
    )


def details(summary: str, body: Html) -> Html:
    return Html(f"<details><summary>{escape(summary)}</summary>{body}</details>") if body else Html("")


def bullets(lines: Iterable[object]) -> Html:
    items = "".join(f"<li>{prose(line)}</li>" for line in lines)
    return Html(f'<ul class="plain">{items}</ul>') if items else Html("")


def commands(lines: Iterable[str]) -> Html:
    """Command lines; a click selects a whole one."""
    return join(Html(f'<code class="command">{escape(line)}</code>') for line in lines)


def metric_name(name: str) -> tuple[str, str]:
    """Words and unit of a metric: `latency_p50_ms` is `latency p50` in `ms`; a count or a fraction has no unit."""
    words, _, last = name.rpartition("_")
    if words and last in _UNITS:
        return words.replace("_", " "), _UNITS[last]
    return name.removeprefix("num_").replace("_", " "), ""
