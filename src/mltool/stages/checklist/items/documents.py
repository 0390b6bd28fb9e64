"""docs, docs-pages, diagram and what only people know."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import first
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, ask, counted, done, listed, missing, partly

_PUBLISHES = (
    r"mkdocs\s+gh-deploy|actions/deploy-pages|peaceiris/actions-gh-pages|JamesIves/github-pages-deploy|\bmike\s+deploy"
    r"|ghp-import"
)
_PICTURE = re.compile(
    r"(architecture|arch|overview|diagram|pipeline|system|workflow|infrastructure)[\w-]*\.(png|svg|jpe?g|webp|drawio|puml|mmd|dot|pdf|excalidraw)(\.\w+)?$",
    re.I,
)
_ARROWS = ("──", "-->", "==>")
_SIDES = (*_ARROWS, "│", "|")
_MIN_WORDS = 150


@judges("docs")
def docs(evidence: Evidence) -> Finding:
    project = evidence.project
    for path in project.named("mkdocs.yml", "mkdocs.yaml"):
        root = first(evidence.data.yaml(path))
        folder = posixpath.normpath(posixpath.join(posixpath.dirname(path), str(root.get("docs_dir", "docs"))))
        pages = [one for one in _pages(root.get("nav")) if "://" not in one]
        lost = [
            one for one in pages if posixpath.normpath(f"{folder}/{one}") not in project.files and not one.endswith("/")
        ]
        if not root.get("site_name"):
            return partly(f"`{path}` has no `site_name`, without which nothing is built")
        if lost:
            return partly(f"`{path}` names {listed(lost)}, which is not there")
        written = [one for one in project.with_suffix(".md") if one.startswith(f"{folder}/")]
        return (
            done(f"{path}: {counted(len(written), 'page')} in `{folder}`")
            if written
            else partly(f"`{path}`, but no page in `{folder}`")
        )
    for path in project.named("conf.py"):
        folder = posixpath.dirname(path)
        if re.match(r"docs?(/|$)", folder):
            index = [one for one in (f"{folder}/index.rst", f"{folder}/index.md") if one in project.files]
            return done(f"Sphinx: {path}, {index[0]}") if index else partly(f"Sphinx: {path}, but no index")
    readme = next((path for path in ("README.md", "README.rst", "README.txt", "README") if path in project.files), None)
    words = len(project.text(readme).split()) if readme else 0
    pages = [path for path in project.with_suffix(".md", ".rst") if path.startswith(("docs/", "doc/"))]
    if words >= _MIN_WORDS or pages:
        return partly(
            f"{readme} has {words} words" if readme else "",
            f"{counted(len(pages), 'page')} in `docs`" if pages else "",
            "no site is built from it",
        )
    return missing("no documentation" if not readme else f"{readme} has {words} words")


def _pages(nav: Any) -> list[str]:
    found: list[str] = []
    waiting = [nav]
    while waiting and len(found) < 2000:
        one = waiting.pop()
        if isinstance(one, str):
            found += [str(one)] if one.strip() else []
        else:
            waiting += list(one.values()) if isinstance(one, dict) else list(one) if isinstance(one, list) else []
    return found


@judges("docs-pages")
def docs_pages(evidence: Evidence) -> Finding:
    steps = evidence.workflows.runs(_PUBLISHES)
    if steps:
        return done(f"published by {listed([step.at for step in steps])}")
    hosted = [path for path in (".readthedocs.yaml", ".readthedocs.yml") if path in evidence.project.files]
    if hosted and first(evidence.data.yaml(hosted[0])):
        return done(f"published by Read the Docs: {hosted[0]}")
    scripts = [
        path
        for path in (*evidence.project.with_suffix(".sh"), *evidence.project.named("Makefile", "tasks.py"))
        if re.search(_PUBLISHES, evidence.project.text(path))
    ]
    return (
        partly(f"a command in {listed(scripts)}, which nothing runs")
        if scripts
        else missing("nothing publishes a site")
    )


@judges("diagram")
def diagram(evidence: Evidence) -> Finding:
    project = evidence.project
    pages = [path for path in project.with_suffix(".md", ".rst") if not path.startswith((".", "tests/"))]
    drawn = [
        path for path in pages if re.search(r"```mermaid|```plantuml|\.\. (mermaid|graphviz|uml)::", project.text(path))
    ]
    pictures = sorted(
        path
        for path in project.files
        if _PICTURE.search(path) and not path.startswith(("tests/", "src/", "data/", "."))
    )
    shown = [path for path in pictures if any(path.rpartition("/")[2] in project.text(page) for page in pages)]
    if drawn or shown:
        return done(f"drawn in {listed(drawn)}" if drawn else f"{listed(shown)}, shown in a page")
    if pictures:
        return partly(listed(pictures), "no page shows it")
    boxes = [path for path in pages if _has_boxes(project.text(path))]
    return partly(f"drawn in letters in {listed(boxes)}") if boxes else missing("no picture and no source of one")


def _has_boxes(text: str) -> bool:
    """Whether a line with an arrow or an edge is followed, at once or one line later, by another or by a side."""
    lines = text.splitlines()
    edges = [number for number, line in enumerate(lines) if any(mark in line for mark in _ARROWS)]
    return any(mark in line for number in edges for line in lines[number + 1 : number + 3] for mark in _SIDES)


@judges("description")
def description(evidence: Evidence) -> Finding:
    readme = next((path for path in ("README.md", "README.rst") if path in evidence.project.files), None)
    return ask(
        f"does {readme} still say what the project became?"
        if readme
        else "is there a description, and does it still hold?"
    )


@judges("understanding")
def understanding(evidence: Evidence) -> Finding:
    return ask("can every member explain every part?")


@judges("presentation")
def presentation(evidence: Evidence) -> Finding:
    slides = sorted(path for path in evidence.project.files if path.endswith((".pptx", ".odp", ".key")))
    return ask(f"{listed(slides)}: is it prepared?" if slides else "is it prepared?")


@judges("report")
def report(evidence: Evidence) -> Finding:
    pages = [
        path
        for path in ("reports/README.md", "report.md", "report/README.md", "REPORT.md")
        if path in evidence.project.files
    ]
    if pages:
        return ask(f"{pages[0]} has {len(evidence.project.text(pages[0]).split()):,} words: is it finished?")
    return ask("is it written?")
