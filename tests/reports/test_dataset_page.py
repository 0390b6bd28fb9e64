"""The page of a dataset: safe, of modest size, and honest about what it leaves out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from page_testing import NASTY, check

from mltool.reports.dataset_page import ColumnSummary, DatasetReport, dataset_page


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1) | st.just(NASTY))
def test_no_text_of_a_dataset_report_becomes_markup(text: str) -> None:
    text = text + NASTY
    report = DatasetReport(
        title=text,
        digest=text,
        created_utc=text,
        num_rows={text: 3},
        class_counts={text: {text: 1}},
        samples={text: [np.zeros((2, 2), np.uint8)]},
        columns=[
            ColumnSummary(name=text, kind=text, role=text, top=[(text, 1)]),
            ColumnSummary(name=text, kind="number", role="target", edges=[0, 1], counts=[3]),
        ],
        notes=[text],
        damage=[{text: text}],
        provenance={text: {text: text}},
        next_commands=[text],
    )
    assert check(dataset_page(report)).text.count("<script>alert(") > 10


def test_an_empty_dataset_report_is_a_page() -> None:
    check(dataset_page(DatasetReport(title="d@1", digest="", created_utc="")))


def test_a_dataset_page_says_what_it_leaves_out() -> None:
    report = DatasetReport(
        title="d@1",
        digest="d",
        created_utc="t",
        num_rows={"train": 7, "test": 3},
        columns=[ColumnSummary(name=f"c{i}", kind="number", missing=0.0004, counts=[1, 2]) for i in range(784)],
        class_counts={"train": {f"k{i}": 1 for i in range(100)}},
        samples={f"k{i}": [np.zeros((8, 8), np.uint8)] for i in range(100)},
        damage=[{"where": i, "problem": "truncated"} for i in range(100)],
        num_damaged=5000,
    )
    html = dataset_page(report)
    document = check(html)
    for words in ("The first 200 of 784 columns", "100 of 5,000 listed", "The first 40 of 100 classes", "70.0\u00a0%"):
        assert words in document.text
    assert "<0.1\u00a0%" in document.text
    assert len(html) < 300_000
