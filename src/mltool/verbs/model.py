"""What the verbs that make a model return."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.store import open_store
from mltool.verbs.jobs import resolved

if TYPE_CHECKING:
    from mltool.stages.evaluate.stage import Evaluation


@dataclass(frozen=True, repr=False)
class Model(Artifact):
    """A model artifact that answers."""

    def predict(self, records: Any, **values: Any) -> list[dict[str, Any]]:
        """Answer for records (dictionaries), arrays by input name, one array, or the path of a file.

        Args:
            values: Fields of `PredictJob`, such as `threads=1`.
        """
        from mltool.stages.predict import stage

        is_file = isinstance(records, str | PathLike)
        job = resolved("predict", values={**values, **({"input": str(records)} if is_file else {})}).config
        return list(stage.predict(self, job, None if is_file else records))

    def evaluate(self, **values: Any) -> Evaluation:
        """Metrics with confidence intervals on a split of the dataset the model was made with."""
        from mltool.stages.evaluate import stage

        return stage.evaluate(self, resolved("evaluate", values=values).config, open_store())

    @classmethod
    def of(cls, artifact: Artifact) -> Model:
        return cls(artifact.path, artifact.manifest, artifact.ref)
