"""One of several processes that run trials of the same study.

Run as `python -m mltool.stages.tune.worker`, it reads a request from standard input, prints one line of JSON whenever
something happened, and ends when the study has all its trials.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core import errors, host
from mltool.core.config.load import load_config
from mltool.core.errors import MltoolError
from mltool.datasets.dataset import Dataset
from mltool.stages.tune.config import TuneJob
from mltool.stages.tune.journal import journal_of
from mltool.stages.tune.point import at
from mltool.stages.tune.search import Data, Search, Watch
from mltool.stages.tune.space import space_of, that_fits
from mltool.stages.tune.trial import Metric

INTERRUPTED = 130


def main() -> None:
    # What a library, or code of the user, prints is no answer of ours.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def answer(**line: Any) -> None:
            answers.write(f"{json.dumps(line)}\n")
            answers.flush()

        request = json.load(sys.stdin)
        host.limit_memory()
        try:
            _search(request).run(
                request["num_trials"],
                time.monotonic() + (request["timeout_s"] or math.inf),
                Watch(lambda what: answer(step=what), partial(answer, end=True)),
            )
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except MltoolError as error:
            kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == errors.__name__)
            answer(error=kind, message=error.message, hint=error.hint)


def _search(request: dict[str, Any]) -> Search:
    # Every value of the job is given, so nothing that stands in a file or a variable meanwhile can change it.
    job = load_config(TuneJob, "tune", values=request["job"])
    store, metric = Store(Path(request["store"])), Metric(**request["metric"])
    data = Data(job, Dataset(store.find(request["dataset"], ArtifactKind.dataset)), store)
    nearest = at(job, space_of(job).nearest(job))
    space = that_fits(space_of(job), job, len(data.for_(nearest).train))
    return Search(job, data, metric, journal_of(job, Path(request["journal"]), space, metric), store)


if __name__ == "__main__":
    main()
