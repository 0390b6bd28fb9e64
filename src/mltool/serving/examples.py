"""The samples that a model carries, written as a client would send them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mltool.datasets.schema import TensorSpec
from mltool.serving.served import Served
from mltool.serving.v2 import DATATYPES

_MAX_VALUES = 4096
"""A tensor with more values helps nobody as text."""


def records(served: Served, num_records: int) -> list[dict[str, Any]]:
    """The first samples as records of `POST /predict`; inputs too large to be read are left out."""
    available = len(next(iter(served.examples.values())))
    return [_record(served, row) for row in range(min(num_records, available))]


def _record(served: Served, row: int) -> dict[str, Any]:
    schema, arrays = served.schema, served.examples
    record: dict[str, Any] = {}
    for at, column in enumerate(schema.columns_of("number")):
        value = arrays["numbers"][row, at]
        record[column.name] = None if np.isnan(value) else float(str(value))  # the shortest text of a float32
    for at, column in enumerate(schema.columns_of("category")):
        code = int(arrays["categories"][row, at])
        record[column.name] = column.vocabulary[code - 1] if 0 < code <= len(column.vocabulary) else None
    for column in schema.columns_of("image"):
        from mltool.reports.pictures import data_url  # Pillow: only where there are pictures

        image_HWC = arrays["image"][row].transpose(1, 2, 0)
        record[column.name] = data_url(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC)
    for column in schema.columns_of("tensor"):
        array = arrays[column.name][row]
        if array.size <= _MAX_VALUES:
            record[column.name] = _plain(array)
    return record


def infer_request(served: Served) -> dict[str, Any]:
    """The first sample as a request of the Open Inference Protocol."""
    return {"inputs": [_input(spec, served.examples[spec.name][:1]) for spec in served.signature.inputs]}


def _input(spec: TensorSpec, array: Any) -> dict[str, Any]:
    data = [] if array.size > _MAX_VALUES else _plain(array.ravel())
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(array.shape), "data": data}


def _plain(array: Any) -> Any:
    """Nested lists; a float32 as its own shortest number, not with the digits of the double that it becomes."""
    return (
        np.vectorize(lambda v: float(str(v)), otypes=[object])(array).tolist()
        if array.dtype == np.float32
        else array.tolist()
    )
