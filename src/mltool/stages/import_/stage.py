"""Make a verified model of weights, or of a graph, that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.core.config.settings import find_project
from mltool.core.config.show import nested
from mltool.core.errors import ConfigError, DataError
from mltool.datasets.dataset import Dataset
from mltool.modeling import preprocess as preprocessing
from mltool.modeling.made import Made
from mltool.modeling.network import make_network
from mltool.modeling.package import package
from mltool.modeling.rebuild import recipe
from mltool.modeling.sources import default_name, open_dataset
from mltool.modeling.tasks import make_task
from mltool.modeling.training.feed import make_feed
from mltool.modeling.training.probe import probe
from mltool.modeling.weights import load_weights, read_weights
from mltool.stages.import_.config import ImportJob
from mltool.stages.import_.graph import import_graph


def import_model(weights: str, plan: Resolved[ImportJob], store: Store) -> Artifact:
    """Load weights into their network, then export, verify, measure and store it as `train` does.

    Raises:
        CheckError: The export or another check failed; the model is kept without a name.
        ConfigError: The weights do not fit the network, or the network does not fit the data.
        DataError: The weights or the data cannot be read.
    """
    path, job = Path(weights), plan.config
    if not path.is_file():
        raise DataError(f"`{weights}` does not exist in `{Path.cwd()}`", hint="give the file that holds the weights")
    if "data.source" not in plan.origins and "data.target" not in plan.origins:
        raise ConfigError(
            "`mltool import` needs data to verify the model on",
            hint="give `data.source=` (a folder, a table, a file of tensors) or `data.target=package.module:function`",
        )
    dataset = open_dataset(job.data, store)
    name = job.name or default_name_of(path, job)
    stored = {**nested(plan.values), "weights": path.name}
    if path.suffix == ".onnx":
        return import_graph(path, dataset, stored, name, store)
    return package(_made(path, job, dataset, stored), name, store)


def default_name_of(path: Path, job: ImportJob) -> str:
    """The project's name, where there is a project; else the data's, else that of the weights."""
    project = find_project()
    if (project / "mltool.yaml").is_file():
        return project.name
    return path.stem if job.data.target else default_name(job.data)


def _made(path: Path, job: ImportJob, dataset: Dataset, stored: dict[str, Any]) -> Made:
    if job.model.target is None and job.model.name == "auto":
        raise ConfigError(
            f"`{path.name}` holds weights, but not the network that they belong to",
            hint="give its class as `model.target=package.module:Class`",
        )
    schema = dataset.schema
    weights = read_weights(path)
    network = make_network(job.model, schema, seed=0)
    load_weights(network, weights, path)
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    modules = preprocessing.unfitted(schema)
    if schema.image is not None:
        events.warning("the network gets pixels scaled to 0..1; compare the accuracy with the one you know")
    feed = make_feed(splits["train"], schema, modules, (0.0, 1.0))
    with torch.no_grad():
        task = make_task(job.task, schema, probe(network, feed))
    return Made(
        network=network,
        preprocess=modules,
        task=task,
        schema=schema,
        splits=splits,
        config=stored,
        rebuild=recipe(job.model, schema, network, task),
        parents=[Parent("data", ArtifactKind.dataset, dataset.artifact.digest, dataset.artifact.ref)],
        facts={"made_by": "import"},
    )
