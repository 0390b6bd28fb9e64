from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_testing import NASTY, Document, check
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mltool.reports.confusion import MAX_TINT
from mltool.reports.dataset_page import DatasetReport, dataset_page
from mltool.reports.markup import Html, escape, number, percent, shorten
from mltool.reports.model_page import ModelReport, model_page
from mltool.reports.page import Section, badge, grouped_key_values, key_values, metric_name, page, table
from mltool.reports.style import STYLE


def digits_report() -> ModelReport:
    digits = load_digits()
    pixels, labels = digits.data / 16, digits.target
    probabilities = LogisticRegression(max_iter=100).fit(pixels[:1200], labels[:1200]).predict_proba(pixels[1200:])
    actual, predicted = labels[1200:], probabilities.argmax(1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (actual, predicted), 1)
    loss = -np.log(probabilities[np.arange(len(actual)), actual])
    worst = np.argsort(-loss)[:24]
    return ModelReport(
        title="digits@3",
        digest="9f3ac1d27be0" + "5" * 52,
        created_utc="2025-03-14T09:26:53+00:00",
        task="classification",
        metrics={
            "accuracy": float((actual == predicted).mean()),
            "loss": float(loss.mean()),
            "latency_p50_ms": 0.213,
            "size_mib": 0.4,
            "num_samples": 597,
        },
        intervals={"accuracy": (0.9, 0.95)},
        metrics_split="test",
        checks=[
            {"id": "export", "status": "passed", "value": 2e-7, "limit": 1e-4, "detail": "256 samples"},
            {"id": "latency", "status": "not_run", "value": None, "limit": None, "detail": "no profile"},
            {"id": "calibration", "status": "failed", "value": 0.08, "limit": 0.05, "detail": ""},
        ],
        history=[
            {
                "epoch": e,
                "train_loss": 1 / e,
                "validation_loss": 1.2 / e + 0.01 * e,
                "validation_accuracy": 1 - 0.5 / e,
                "lr": 0.01 / e,
                "seconds": 0.4,
            }
            for e in range(1, 31)
        ],
        confusion=(matrix, list("0123456789")),
        reliability=[{"low": 0.5, "high": 1.0, "confidence": 0.95, "accuracy": 0.93, "num_samples": 597}],
        worst_samples=[
            ((digits.images[1200 + i] * 15.9).astype(np.uint8), int(predicted[i]), int(actual[i]), float(loss[i]))
            for i in worst
        ],
        config={"seed": 0, "train": {"lr": 0.01, "hidden": [64, 32], "nested": {"flag": True}}},
        lineage=[{"kind": "dataset", "name": "digits-data@1", "digest": "77ab", "role": "trained on"}],
        host={"cpu": "2 cores"},
        inputs=[{"name": "image", "dtype": "uint8", "shape": (1, 8, 8)}],
        outputs=[{"name": "probabilities", "dtype": "float32", "shape": (10,)}],
        next_commands=["mltool serve digits@3"],
    )


def test_a_model_page_shows_all_parts_in_less_than_300_kb() -> None:
    html = model_page(digits_report())
    document = check(html)
    assert len(html.encode()) < 300_000
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", html)
    assert titles == [
        "Checks",
        "Metrics",
        "Training",
        "Errors",
        "Calibration",
        "Worst samples",
        "Signature",
        "Lineage",
        "Configuration",
        "Host",
        "Next",
    ]
    assert "Measured on the test split, 95 % intervals" in document.text
    assert "0.9000 to 0.9500" in document.text
    assert "0.2130 ms" in document.text
    assert not re.search("&lt;[a-z/]", html)  # a tag that was escaped by mistake


def test_the_worst_news_comes_first() -> None:
    html = model_page(digits_report())
    document = check(html)
    assert document.text.index("1 failed") < document.text.index("1 not run") < document.text.index("1 passed")
    assert re.findall(r'<th scope="row">(export|latency|calibration)</th>', html) == [
        "calibration",
        "latency",
        "export",
    ]


def test_a_status_is_a_sign_and_a_word() -> None:
    assert Document(badge("failed")).text == "✗failed"
    assert Document(badge("not_run")).text == "○not run"
    assert Document(badge("postponed")).text == "?postponed"


def test_an_empty_model_report_is_a_page() -> None:
    html = model_page(ModelReport(title="m@1", digest="", created_utc="", task="custom"))
    check(html)
    assert "<section" not in html


def test_two_metrics_that_read_the_same_are_both_shown() -> None:
    report = ModelReport(
        title="m", digest="d", created_utc="t", task="custom", metrics={"latency_s": 1.0, "latency_ms": 2.0}
    )
    assert re.findall(r"<dd>([^<]+)</dd>", model_page(report)) == ["1.000 s", "2.000 ms"]


def test_nothing_but_nan_is_still_a_page() -> None:
    report = ModelReport(
        title="m@1",
        digest="d",
        created_utc="t",
        task="regression",
        metrics={"rmse": math.nan},
        intervals={"rmse": (math.nan, math.inf)},
        checks=[{}, {"id": "x", "status": "failed", "value": math.nan}],
        history=[{"train_loss": math.nan}, {"epoch": 2, "validation_loss": None}],
        confusion=(np.full((1, 1), math.nan), ["only"]),
        prediction=[math.nan],
        target=[1.0],
        worst_samples=[({"a": math.nan}, None, math.inf, math.nan)],
        reliability=[{}],
        lineage=[{}],
        inputs=[{}],
    )
    assert "NaN" in check(model_page(report)).text


def test_a_regression_page_has_its_plots_and_lists_the_fields_of_the_worst() -> None:
    target = np.linspace(0, 10, 3000)
    records = [({f"field {i}": i for i in range(12)}, 1.5, 2.5, 1.0)]
    report = ModelReport(
        title="m@1",
        digest="d",
        created_utc="t",
        task="regression",
        prediction=target + 1,
        target=target,
        worst_samples=records,
    )
    document = check(model_page(report))
    assert "2,000 of 3,000 samples" in document.text
    assert "Distribution of errors" in document.text
    assert "The first 8 of 12 fields" in document.text


@pytest.mark.parametrize("num_classes", [1, 2, 20, 21, 100])
def test_any_number_of_classes_makes_a_page_of_modest_size(num_classes: int) -> None:
    matrix = np.random.default_rng(0).integers(0, 100, (num_classes, num_classes))
    classes = [f"class number {i}" for i in range(num_classes)]
    report = ModelReport(title="m", digest="d", created_utc="t", task="classification", confusion=(matrix, classes))
    html = model_page(report)
    check(html)
    assert len(html) < 200_000


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1) | st.just(NASTY))
def test_no_text_of_a_model_report_becomes_markup(text: str) -> None:
    text = text + NASTY
    report = ModelReport(
        title=text,
        digest=text,
        created_utc=text,
        task=text,
        metrics={text: 1.0, "b": 1, "c": 1, "d": 1, "e": 1},
        metrics_split=text,
        checks=[{"id": text, "status": text, "value": text, "limit": text, "detail": text}],
        history=[{"epoch": 1, f"{text}loss": 1.0, text: 3.0}],
        confusion=(np.ones((2, 2)), [text, text]),
        worst_samples=[(np.zeros((2, 2), np.uint8), text, text, 1.0), ({text: text}, text, text, 1.0)],
        config={text: {text: [text]}},
        lineage=[{"kind": text, "name": text, "digest": text, "role": text}],
        host={text: text},
        inputs=[{"name": text, "dtype": text, "shape": (text,)}],
        next_commands=[text],
    )
    document = check(model_page(report))
    assert document.text.count("<script>alert(") > 15


def test_a_section_without_a_body_is_left_out_and_anchors_differ() -> None:
    body = Html("<p>x</p>")
    html = page(
        "t", "s", [Section("Main", body), Section("Same", body), Section("Same", body), Section("Gone", Html(""))]
    )
    check(html)
    assert "Gone" not in html


def test_a_column_of_numbers_stands_at_the_right() -> None:
    html = table(("name", "value", "mixed"), [("a", 1.5, "x"), ("b", None, 2)])
    assert html.count('class="number"') == 3
    assert "<td>2</td>" in html
    assert "Nothing to list" in table(("name",), [])


def test_settings_are_shown_as_written() -> None:
    html = key_values({"lr": 0.01, "steps": 100000, "flag": True, "none": None, "a": {"b": [1, 2]}, "empty": []})
    assert re.findall("<dd>([^<]*)</dd>", html) == ["0.01", "100000", "true", "\u2013", "1, 2", "\u2013"]
    assert "<dt>a.b</dt>" in html
    assert grouped_key_values({}) == ""
    assert "<h3>" not in grouped_key_values({"only": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91234, "0.9123"),
        (12.3456, "12.35"),
        (1234.5, "1,234"),
        (-0.5, "\u22120.5000"),
        (0, "0"),
        (51978, "51,978"),
        (0.0095, "0.00950"),
        (2.1e-7, "2.10e\u22127"),
        (math.nan, "NaN"),
        (-math.inf, "\u2212∞"),
        (None, "\u2013"),
        (True, "yes"),
        (np.float32(0.5), "0.5000"),
        (np.int64(3), "3"),
        ("cat", "cat"),
        (3e12, "3.00e12"),
    ],
)
def test_numbers_are_written_for_people(value: Any, text: str) -> None:
    assert number(value) == text


def test_a_percentage_never_claims_all_or_nothing_wrongly() -> None:
    shown = [percent(share) for share in (0.0, 1e-6, 0.5, 0.9999, 1.0, math.nan)]
    assert [text.replace("\u00a0", " ") for text in shown] == ["0 %", "<0.1 %", "50.0 %", ">99.9 %", "100 %", "\u2013"]


def test_names_are_cut_to_their_width() -> None:
    assert shorten("飛行機の写真", 8) == "飛行機…"
    assert shorten("short", 8) == "short"
    assert escape("a\x00b") == "a\ufffdb"
    assert metric_name("latency_p50_ms") == ("latency p50", "ms")
    assert metric_name("num_parameters") == ("parameters", "")


def test_text_has_enough_contrast_in_both_themes() -> None:
    themes = re.findall(r"color-scheme:(?:light|dark);([^}]*)", STYLE)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+):(#\w{6})", theme))
        for name in ("ink", "muted", "accent", "good", "bad", "idle", "s0", "s1", "s2", "s3", "s4", "s5"):
            assert contrast(rgb(colours[name]), rgb(colours["paper"])) >= 4.5, name
        assert contrast(rgb(colours["muted"]), rgb(colours["raised"])) >= 4.5
        for colour in (colours["accent"], colours["s1"]):  # numbers in the cells of a confusion matrix
            assert contrast(rgb(colours["ink"]), mixed(colour, colours["paper"], MAX_TINT)) >= 4.5


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def mixed(above: str, below: str, opacity: float) -> np.ndarray:
    return opacity * rgb(above) + (1 - opacity) * rgb(below)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Source: WCAG 2.2, contrast ratio."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    bright, dark = sorted((float(c @ [0.2126, 0.7152, 0.0722]) for c in linear), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_the_epoch_whose_weights_are_kept_is_the_one_with_the_lowest_loss() -> None:
    losses = [0.9, 0.3, 0.5, 0.8]
    history = [{"epoch": e, "validation_loss": loss} for e, loss in enumerate(losses, start=1)]
    html = model_page(ModelReport(title="m", digest="d", created_utc="", task="custom", history=history))
    check(html)
    mark = float(re.findall(r'class="mark" d="M([\d.]+) ', html)[0])
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', html)[: len(losses)]]
    assert mark == pytest.approx(dots[1], abs=0.1)
    assert ">kept</text>" in html


def test_times_and_names_in_backticks_are_written_for_people() -> None:
    report = DatasetReport(title="d", digest="d", created_utc="2025-03-14T09:26:53+00:00", notes=["left out `id <b>`"])
    html = dataset_page(report)
    check(html)
    assert "2025-03-14 09:26 UTC" in html
    assert "left out <code>id &lt;b&gt;</code>" in html
