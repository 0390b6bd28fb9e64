from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mltool.reports.bars import dot_plot, histogram, histogram_bars, small_histogram
from mltool.reports.confusion import confusion_matrix_plot
from mltool.reports.pictures import image_grid
from mltool.reports.plots import line_chart, reliability_plot, scatter_plot
from mltool.reports.svg import scale

any_float = st.floats(allow_nan=True, allow_infinity=True)


class Balance(HTMLParser):
    """Fails on a tag that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


def check(html: str) -> str:
    parser = Balance()
    parser.feed(html)
    assert not parser.open
    assert "nan" not in html.lower().replace("nan at", "")
    assert not re.search(r'="-?inf|[ML]-?inf| -?inf', html)
    assert not re.search("&lt;[a-z/]", html)  # a tag that was escaped by mistake
    return html


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(any_float, any_float), max_size=40), any_float)
def test_a_line_chart_takes_any_floats(points: list[tuple[float, float]], mark: float) -> None:
    check(line_chart({"train": points, "validation": points[::2]}, "epoch", "loss", mark))


@settings(max_examples=200, deadline=None)
@given(st.lists(any_float, max_size=40))
def test_bars_histograms_and_scatter_plots_take_any_floats(values: list[float]) -> None:
    check(histogram(values, "value"))
    check(scatter_plot(values, values[::-1]))
    check(small_histogram(values, "values"))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.booleans())
def test_a_scale_holds_its_values_and_has_a_few_ticks(values: list[float], zero: bool) -> None:
    made = scale(values, 0, 100, zero=zero)
    assert all(-0.1 <= made(value) <= 100.1 for value in values)
    assert 2 <= len(made.ticks()) <= 8
    assert len({label for _, label in made.ticks()}) == len(made.ticks())


@pytest.mark.parametrize("value", [5e-324, 1e-300, 0.0, -7.0, 1.7e308])
def test_a_scale_of_one_value_has_room_on_both_sides(value: float) -> None:
    assert 20 < scale([value], 0, 100)(value) < 80


def test_ticks_of_whole_numbers_are_whole() -> None:
    assert [label for _, label in scale(range(1, 11), 0, 100).ticks()] == ["0", "5", "10"]
    assert [label for _, label in scale([0.0, 1.0, 3.0], 0, 100).ticks()] == ["0", "1", "2", "3"]


def test_a_missing_loss_leaves_a_gap_in_its_line() -> None:
    html = check(line_chart({"loss": [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0), (4, 2.0)]}, "epoch", "loss"))
    path = re.search(r'class="line d0" d="([^"]*)"', html)
    assert path
    assert re.findall("[ML]", path[1]) == ["M", "L", "M", "L"]


def test_a_loss_over_many_decades_is_drawn_on_a_log_scale_and_says_so() -> None:
    assert "loss, log scale" in line_chart({"loss": [(i, 10.0**-i) for i in range(5)]}, "epoch", "loss")
    assert "log scale" not in line_chart({"loss": [(i, 1.0 - i) for i in range(5)]}, "epoch", "loss")


def test_named_ticks_stand_on_an_axis_in_equal_ratios() -> None:
    html = check(line_chart({"model": [(2**i, i) for i in range(8)]}, "batch size", "ms", x_ticks=[1, 8, 64, 128]))
    ticks = {
        label: float(x) for x, label in re.findall(r'<text x="([\d.]+)" y="254" text-anchor="middle">([\d,]+)<', html)
    }
    assert list(ticks) == ["1", "8", "64", "128"]
    assert ticks["64"] - ticks["8"] == pytest.approx(ticks["8"] - ticks["1"], abs=0.2)


def test_ticks_that_would_touch_are_left_out() -> None:
    html = check(line_chart({"model": [(x, 1.0) for x in (1, 100, 101, 5000)]}, "x", "y", x_ticks=[1, 100, 101, 5000]))
    assert ">100<" in html
    assert ">101<" not in html
    assert ">5,000<" in html


def test_a_long_line_keeps_its_spike() -> None:
    points = [(float(i), 0.0) for i in range(100_000)]
    points[54_321] = (54_321.0, 7.0)
    html = check(line_chart({"loss": points}, "step", "loss"))
    assert "7.000 at step 54,321" in html
    assert len(html) < 100_000


def test_names_of_lines_do_not_cover_each_other() -> None:
    html = line_chart({name: [(0, 1.0), (1, 1.0)] for name in "abcdef"}, "epoch", "loss")
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="name', html))
    assert len(heights) == 6
    assert min(np.diff(heights)) >= 14


def test_lines_beyond_the_palette_are_announced() -> None:
    html = line_chart({f"run {i}": [(0, i), (1, i)] for i in range(12)}, "epoch", "loss")
    assert "The first 8 of 12 lines" in html


@pytest.mark.parametrize("html", [line_chart({}, "x", "y"), line_chart({"a": [(0, math.nan)]}, "x", "y")])
def test_an_empty_chart_says_that_there_is_nothing_to_draw(html: str) -> None:
    assert "nothing to draw" in check(html)


def test_a_scatter_plot_draws_two_thousand_of_many_and_always_the_largest_errors() -> None:
    target = np.linspace(0, 1, 30_000)
    prediction = target.copy()
    prediction[12_345] = 9.0
    html = check(scatter_plot(prediction, target))
    assert html.count("h0") + html.count("<circle") == 2000
    assert "predicted 9.000, actual 0.4115" in html
    assert "2,000 of 30,000 samples" in html


def test_a_scatter_plot_counts_what_is_not_finite() -> None:
    assert "2 are not finite" in scatter_plot([1.0, math.nan, 3.0, math.inf], [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match="3 predictions do not fit 2 targets"):
        scatter_plot([1, 2, 3], [1, 2])


def test_a_histogram_counts_every_finite_value() -> None:
    html = check(histogram([*np.random.default_rng(0).normal(size=1000), math.nan], "size"))
    counts = [int(count.replace(",", "")) for count in re.findall(r"<title>[^<]* to [^<]*: ([\d,]+)</title>", html)]
    assert sum(counts) == 1000
    assert "1 of 1,001 values are not finite" in html
    assert "nothing to draw" in histogram_bars([], [], "size")


def test_a_reliability_plot_skips_empty_bins() -> None:
    curve = [
        {"low": 0.0, "high": 0.5, "confidence": math.nan, "accuracy": math.nan, "num_samples": 0},
        {"low": 0.5, "high": 1.0, "confidence": 0.9, "accuracy": 0.8, "num_samples": 12},
    ]
    assert check(reliability_plot(curve)).count("<circle") == 1
    assert "nothing to draw" in reliability_plot(curve[:1])
    assert "nothing to draw" in reliability_plot([])


@pytest.mark.parametrize("num_classes", [1, 2, 10, 20])
def test_a_confusion_matrix_shows_every_count(num_classes: int) -> None:
    matrix = np.arange(1, num_classes**2 + 1).reshape(num_classes, num_classes)
    html = check(confusion_matrix_plot(matrix, [f"class {i}" for i in range(num_classes)]))
    counts = re.findall(r'<text [^>]*class="ink" text-anchor="middle">(\d+)</text></g>', html)
    assert sorted(map(int, counts)) == list(range(1, num_classes**2 + 1))


def test_a_confusion_matrix_reads_from_actual_to_predicted() -> None:
    html = confusion_matrix_plot([[3, 1], [0, 4]], ["cat", "dog"])
    assert "1 of actual cat predicted as dog (25.0\u00a0%)" in html
    assert re.findall(r">([\d.]+\u00a0%)</text>", html) == ["75.0\u00a0%", "100\u00a0%"]  # recall
    assert re.findall(r'class="label" text-anchor="end">precision', html)
    assert ">80.0</text>" in html


def test_a_hundred_classes_show_the_most_confused_pairs_in_order() -> None:
    matrix = np.diag(np.full(100, 50))
    matrix[7, 9], matrix[3, 4], matrix[50, 3] = 40, 20, 30
    html = check(confusion_matrix_plot(matrix, [f"a name that is long enough to be cut {i}" for i in range(100)]))
    pairs = re.findall(r'scope="row">[^<]*cut (\d+)</th><td>[^<]*cut (\d+)</td><td class="number">(\d+)', html)
    assert pairs == [("7", "9", "40"), ("50", "3", "30"), ("3", "4", "20")]
    assert "Least recognised" in html


def test_a_confusion_matrix_without_samples_or_with_nan_does_not_fail() -> None:
    assert "nothing to draw" in confusion_matrix_plot(np.zeros((3, 3)), ["a", "b", "c"])
    assert "nothing to draw" in confusion_matrix_plot(np.zeros((0, 0)), [])
    check(confusion_matrix_plot([[math.nan, 1], [0, 0]], ["a", "b"]))
    with pytest.raises(ValueError, match="does not fit 3 classes"):
        confusion_matrix_plot(np.eye(2), ["a", "b", "c"])


def test_class_balance_is_a_share_of_each_split() -> None:
    html = check(dot_plot({"train": {"cat": 30, "dog": 10}, "test": {"dog": 5}}, "share"))
    assert "cat in train: 30 (75.0\u00a0%)" in html
    assert "cat in test: 0 (0\u00a0%)" in html
    assert re.findall(r">([^<]*) %</text>", html) == ["0", "50", "100"]
    dots = [float(x) for x in re.findall(r"translate\(([\d.]+) [\d.]+\)", html)]
    train_cat, test_cat, train_dog, test_dog = dots[2:]
    grid = [float(x) for x in re.findall(r'class="grid" d="M([\d.]+) ', html)]
    assert (test_cat, test_dog) == (grid[0], grid[-1])
    assert (train_cat - test_cat) / (test_dog - test_cat) == pytest.approx(0.75, abs=0.01)
    assert (train_dog - test_cat) / (test_dog - test_cat) == pytest.approx(0.25, abs=0.01)
    many = dot_plot({"train": {f"c{i}": i + 1 for i in range(100)}}, "share")
    assert "The 15 most frequent and the 15 rarest of 100 classes" in many
    assert "c99 in train" in many
    assert "c0 in train" in many
    assert "c50 in train" not in many
    assert "nothing to draw" in dot_plot({"train": {}}, "share")


def test_pictures_of_any_shape_are_shown_or_named() -> None:
    rng = np.random.default_rng(0)
    shapes = [(8, 8), (8, 8, 1), (28, 28, 3), (600, 400, 3), (1, 500), (0, 4), (2, 3, 4, 5)]
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes] + [np.zeros((4, 4), np.float32)]
    html = check(image_grid(images, [f"picture {i}" for i in range(len(images))]))
    assert html.count("<img") == 5
    assert html.count('class="pixels"') == 3
    assert "uint8 [0, 4]" in html
    assert "float32 [4, 4]" in html
    assert len(html) < 40_000


def test_small_pictures_keep_their_exact_pixels() -> None:
    import base64
    import io

    from PIL import Image

    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    data = re.search(r"data:image/png;base64,([^\"]+)", image_grid([image], ["a"]))
    assert data
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1])))), image)
