from __future__ import annotations

import numpy as np
import pytest

from mltool.core.errors import DataError
from mltool.datasets.config import DataConfig
from mltool.datasets.readers import embedded
from mltool.datasets.schema import ImageSpec


def test_the_digits_are_those_of_scikit_learn_times_15() -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    source = embedded.read(DataConfig(), "digits")
    rows = np.arange(source.num_rows)
    schema = source.schema(rows)
    batches = list(source.batches(rows, schema))
    assert schema.image == ImageSpec(1, 8, 8)
    assert schema.target.classes == tuple("0123456789")
    assert [(spec.name, spec.dtype) for spec in schema.inputs] == [("image", "uint8")]
    image_NCHW = np.concatenate([inputs["image"] for inputs, _ in batches])
    assert (image_NCHW[:, 0] == original.images * 15).all()
    assert (np.concatenate([codes for _, codes in batches]) == original.target).all()
    assert "times 15" in source.notes[0]


def test_the_penguins_have_numbers_categories_and_missing_values() -> None:
    source = embedded.read(DataConfig(source="penguins"), "penguins")
    rows = np.arange(source.num_rows)
    schema = source.schema(rows)
    assert source.num_rows == 344
    assert (schema.target.name, schema.target.classes) == ("species", ("Adelie", "Chinstrap", "Gentoo"))
    assert {spec.name for spec in schema.inputs} == {"numbers", "categories"}
    batches = list(source.batches(rows, schema))
    numbers = np.concatenate([inputs["numbers"] for inputs, _ in batches])
    assert np.isnan(numbers).any(axis=1).sum() == 2
    assert source.damage.found == []


def test_another_label_of_the_penguins_is_respected() -> None:
    source = embedded.read(DataConfig(source="penguins", label="body_mass_g"), "penguins")
    assert source.schema(np.arange(source.num_rows)).target.name == "body_mass_g"


def test_an_unknown_name_lists_the_embedded_sets() -> None:
    with pytest.raises(DataError, match="`iris`") as caught:
        embedded.read(DataConfig(), "iris")
    assert caught.value.hint == "there are digits and penguins"


def test_every_embedded_set_can_be_read() -> None:
    for name in embedded.EMBEDDED:
        assert len(embedded.read(DataConfig(source=name), name).fingerprint) == 64
