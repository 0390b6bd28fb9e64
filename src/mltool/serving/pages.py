"""The two pages of a server: one to try the model, one that says how to ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mltool.datasets.schema import Column, TensorSpec
from mltool.reports.markup import Html, escape, join, prose
from mltool.reports.page import Section, commands, page, table
from mltool.serving import examples
from mltool.serving.served import Served
from mltool.serving.v2 import DATATYPES, shape_of

_ORIGIN = "http://HOST:PORT"
"""What the script of a page replaces with the address that it came from."""
_SHOW_ORIGIN = (
    'document.querySelectorAll("code.command").forEach((line) => '
    f'{{ line.textContent = line.textContent.replace("{_ORIGIN}", location.origin); }});'
)
_MAX_EXAMPLE_LETTERS = 600
_MAX_OPTIONS = 200


def try_page(served: Served) -> str:
    """A form for one record, filled with samples of the model."""
    samples = examples.records(served, 12)
    fields = [{"name": column.name, "kind": column.kind} for column in served.schema.columns]
    # A `<` in a name would end the script element; in JSON it can be written otherwise.
    data = json.dumps({"fields": fields, "samples": samples}).replace("<", "\\u003c")
    inputs = join(_field(column, served) for column in served.schema.columns)
    form = (
        f'<form id="try"><div class="fields">{inputs}</div>{_samples(served, samples)}'
        f'<button type="submit">Predict</button></form>'
    )
    body = Html(
        f"<style>{_read('try.css')}</style>"
        f'<div class="two"><div>{form}</div><div id="answer" aria-live="polite"></div></div>'
        f'<script type="application/json" id="model">{data}</script>'
    )
    sections = [
        Section("Try it", body),
        Section("From a program", commands(_curl(served)), "More under How to ask it"),
    ]
    links = Html(
        '<p class="measured"><a href="docs">How to ask it</a> · <a href="metrics">Metrics</a> · '
        '<a href="openapi.json">OpenAPI</a></p>'
    )
    return page(_title(served), _subtitle(served), sections, lead=links, script=_read("try.js") + _SHOW_ORIGIN)


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _title(served: Served) -> str:
    return f"{served.name}@{served.version}"


def _subtitle(served: Served) -> Html:
    digest = served.model.digest
    return Html(f'A model served by mltool, <code title="{escape(digest)}">{escape(digest[:12])}</code>')


def _field(column: Column, served: Served) -> Html:
    name, identifier = escape(column.name), escape(f"field-{column.name}")
    if column.kind == "image":
        control = (
            f'<div class="drop"><img id="{escape(f"preview-{column.name}")}" alt="The picture to be sent" hidden>'
            f'<input type="file" accept="image/*" name="{name}" id="{identifier}"></div>'
        )
    elif column.kind == "category" and len(column.vocabulary) <= _MAX_OPTIONS:
        options = join(Html(f'<option value="{escape(v)}">{escape(v)}</option>') for v in column.vocabulary)
        control = f'<select name="{name}" id="{identifier}"><option value="">missing</option>{options}</select>'
    elif column.kind == "tensor":
        spec = next(spec for spec in served.schema.inputs if spec.name == column.name)
        shape = escape(f"{spec.dtype} {list(spec.shape)}")
        control = f'<textarea name="{name}" id="{identifier}" spellcheck="false" placeholder="{shape}"></textarea>'
    else:
        kind = ' inputmode="decimal"' if column.kind == "number" else ""
        control = f'<input name="{name}" id="{identifier}" autocomplete="off"{kind}>'
    return Html(f'<div><label for="{identifier}">{name}</label>{control}</div>')


def _samples(served: Served, samples: list[dict[str, Any]]) -> Html:
    """Buttons that fill the form."""
    pictures = [column.name for column in served.schema.columns_of("image")]
    buttons = []
    for index, record in enumerate(samples):
        if pictures:
            inner, css = f'<img src="{record[pictures[0]]}" alt="Sample {index + 1}">', ""
        else:
            inner, css = f"{index + 1}", ' class="text"'
        buttons.append(f'<button type="button"{css} data-sample="{index}">{inner}</button>')
    return Html(
        f'<p class="note">Samples that the model was made with</p><div class="samples">{"".join(buttons)}</div>'
    )


def _curl(served: Served) -> list[str]:
    """The form in one line, and what the model takes."""
    body = json.dumps({"records": examples.records(served, 1)})
    ask = _curl_file(served) or [f"curl {_ORIGIN}/predict -d '{_shortened(body)}'"]
    return [*ask, f"curl {_ORIGIN}/v2/models/{served.name}"]


def docs_page(served: Served, document: Mapping[str, Any]) -> str:
    """The OpenAPI document for people."""
    lead = Html('<p class="measured"><a href="./">Try it</a> · <a href="openapi.json">OpenAPI</a></p>')
    sections = [
        Section("Predictions", _asking(served), "Records, pictures or files, as mltool predict reads them"),
        Section(
            "Tensors", _tensors(served), "The Open Inference Protocol v2, as tritonclient speaks it, JSON or binary"
        ),
        Section("Paths", _paths(document)),
        Section("Status codes", _codes(document), 'An error is {"error": …, "hint": …}'),
    ]
    script = _SHOW_ORIGIN
    return page(_title(served), _subtitle(served), sections, lead=lead, script=script)


def _asking(served: Served) -> Html:
    body = json.dumps({"records": examples.records(served, 1)}, indent=1)
    answer = {"predictions": [_answer_example(served)], "model": _title(served), "request_id": "…"}
    request = commands([*_curl_file(served), f"curl {_ORIGIN}/predict -d '{_shortened(body)}'"])
    return Html(f"{request}<h3>Answer</h3>{commands([json.dumps(answer, indent=1, ensure_ascii=False)])}")


def _curl_file(served: Served) -> list[str]:
    return [f"curl {_ORIGIN}/predict --data-binary @photo.png"] if served.schema.image is not None else []


def _answer_example(served: Served) -> dict[str, Any]:
    outputs = served.runner.run({name: array[:1] for name, array in served.examples.items()})
    answer = served.encoder.decode(outputs)[0]
    if "probabilities" in answer:
        few = dict(list(answer["probabilities"].items())[:3])
        answer = {**answer, "probabilities": {name: round(share, 4) for name, share in few.items()}}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in answer.items()}


def _tensors(served: Served) -> Html:
    def rows(specs: Sequence[TensorSpec]) -> list[tuple[object, ...]]:
        return [(Html(f"<code>{escape(s.name)}</code>"), DATATYPES[s.dtype], str(list(shape_of(s)))) for s in specs]

    body = json.dumps(examples.infer_request(served))
    return join(
        [
            commands([f"curl {_ORIGIN}/v2/models/{served.name}/infer -d '{_shortened(body)}'"]),
            Html("<h3>Inputs</h3>"),
            table(("name", "datatype", "shape, -1 for any number"), rows(served.signature.inputs)),
            Html("<h3>Outputs</h3>"),
            table(("name", "datatype", "shape"), rows(served.signature.outputs)),
        ]
    )


def _paths(document: Mapping[str, Any]) -> Html:
    rows = [
        (Html(f"<code>{method.upper()} {escape(path)}</code>"), prose(operation["summary"]))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return table(("path", "what it is for"), rows)


def _codes(document: Mapping[str, Any]) -> Html:
    answers = document["paths"]["/predict"]["post"]["responses"]
    return table(("status", "meaning"), [(code, prose(answer["description"])) for code, answer in answers.items()])


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_EXAMPLE_LETTERS else f"{text[:_MAX_EXAMPLE_LETTERS]} …"
