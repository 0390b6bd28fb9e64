"""What a browser would make of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img"}
NASTY = "<script>alert('1')</script>\"&\x00\ud800"


class Document(HTMLParser):
    """What a browser would make of a page: its elements and text, all closed in turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def check(html: str) -> Document:
    """Balanced, self-contained, without scripts, and readable without eyes."""
    document = Document(html)
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in document.elements:
        assert tag not in {"script", "link", "iframe", "object", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/")
            assert "alt" in attributes
        else:
            assert "src" not in attributes
        if "href" in attributes:
            assert str(attributes["href"])[:1] == "#"
            assert str(attributes["href"])[1:] in ids
        if tag == "svg":
            assert attributes["role"] == "img"
    assert len(re.findall(r"<svg[^>]*><title>[^<]+</title>", html)) == html.count("<svg")
    assert not re.search(r"https?:|//cdn|@import|url\(", html)
    html.encode()
    return document
