"""Evidently and alibi-detect as the drift benchmarks ask them, in environments of their own.

One JSON request a line on standard input, one JSON answer a line on standard output. Arrays come as `.npy` files.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)


def evidently_report(request: dict[str, Any]) -> dict[str, Any]:
    """One DataDriftPreset on a mixed table; its cost without what reads and converts the rows."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [f"n{i}" for i in range(request["num_numbers"])]
    categories = [f"c{i}" for i in range(request["num_categories"])]
    frames = []
    for which in ("reference", "window"):
        rows = np.load(request[which])
        frame = pd.DataFrame(rows["numbers"], columns=numbers).astype(float)
        for place, name in enumerate(categories):
            frame[name] = pd.Categorical.from_codes(rows["categories"][:, place], [f"v{i}" for i in range(16)]).astype(
                str
            )
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        frames.append(Dataset.from_pandas(frame, data_definition=definition))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    snapshot = Report([DataDriftPreset()]).run(frames[1], frames[0])
    num_metrics = len(snapshot.dict()["metrics"])
    cost = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
    return {**cost, "num_metrics": num_metrics}


def evidently_decisions(request: dict[str, Any]) -> dict[str, Any]:
    """Whether its default says that the dataset drifted, for each trial."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    references, windows = np.load(request["reference"]), np.load(request["window"])
    decisions, shares = [], []
    for reference, window in zip(references, windows, strict=True):
        live = np.flatnonzero((reference.std(axis=0) > 0) | (window.std(axis=0) > 0))
        columns = [f"f{i}" for i in live]
        frames = [pd.DataFrame(rows[:, live], columns=columns).astype(float) for rows in (window, reference)]
        value = Report([DataDriftPreset()]).run(*frames).dict()["metrics"][0]["value"]
        shares.append(float(value["share"]))
        decisions.append(shares[-1] >= 0.5)
    return {"decisions": decisions, "shares": shares}


def alibi_decisions(request: dict[str, Any]) -> dict[str, Any]:
    """KSDrift with its defaults: a KS test for each column, and Bonferroni."""
    from alibi_detect.cd import KSDrift

    references, windows = np.load(request["reference"]), np.load(request["window"])
    decisions = [
        bool(KSDrift(reference, p_val=0.05).predict(window)["data"]["is_drift"])
        for reference, window in zip(references, windows, strict=True)
    ]
    return {"decisions": decisions}


def main() -> None:
    answers = {
        "evidently_report": evidently_report,
        "evidently_decisions": evidently_decisions,
        "alibi_decisions": alibi_decisions,
    }
    out, sys.stdout = sys.stdout, sys.stderr  # whatever the libraries print is not an answer
    for line in sys.stdin:
        request = json.loads(line)
        out.write(json.dumps(answers[request.pop("ask")](request)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
