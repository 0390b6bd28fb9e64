"""Make a verified model of weights, or of a graph, that were made elsewhere."""

from __future__ import annotations

from pathlib import Path

import torch

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.core.errors import CheckError, ConfigError, DataError, InputError
from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema
from mltool.modeling import preprocess as preprocessing
from mltool.modeling.network import PROBE_ROWS, answer_of, check_network, input_names, make_network
from mltool.modeling.packaging.made import Form, Made
from mltool.modeling.packaging.network_form import NetworkForm
from mltool.modeling.packaging.package import package
from mltool.modeling.rebuild.recipe import recipe
from mltool.modeling.sources.names import model_name
from mltool.modeling.sources.open import open_dataset
from mltool.modeling.tasks.task import Task, make_task
from mltool.stages.import_.config import ImportJob
from mltool.stages.import_.graph import GraphForm, named, read_graph
from mltool.stages.import_.weights import load_weights, read_weights


def import_model(weights: str, plan: Resolved[ImportJob], store: Store) -> Artifact:
    """Load weights into their network, or a graph, then verify, measure and store it as `train` does.

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
    if path.suffix != ".onnx" and job.model.target is None and job.model.name == "auto":
        raise ConfigError(
            f"`{path.name}` holds weights, but not the network that they belong to",
            hint="give its class as `model.target=package.module:Class`",
        )
    if path.suffix == ".onnx" and job.model.target is not None:
        raise ConfigError(
            f"`model.target={job.model.target}` goes with weights, but `{path.name}` is a whole graph",
            hint="leave it out",
        )
    if path.suffix != ".onnx":
        check_network(job.model)
    dataset = open_dataset(job.data, store)
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    stored = plan.stored
    if path.suffix == ".onnx":
        form, task = _graph(path, job, dataset.schema, splits["train"])
    else:
        form, task = _network(path, job, dataset.schema, splits["train"])
    _say_what_outputs_mean(dataset.schema, task)
    made = Made(
        form=form,
        task=task,
        schema=dataset.schema,
        splits=splits,
        config=stored,
        rebuild={} if path.suffix == ".onnx" else recipe(job.model, stored, dataset.schema, task),
        parents=[Parent("data", ArtifactKind.dataset, dataset.artifact.digest, dataset.artifact.ref)],
        facts={"made_by": "import", "weights": path.name, "part": job.part},
    )
    return package(made, model_name(job.name, job.data, dataset), store)


def _say_what_outputs_mean(schema: Schema, task: Task) -> None:
    """The order of the classes is the one thing that weights do not tell, and that nothing can check without labels."""
    classes = schema.target.classes
    if task.kind == "classification" and not all(name.isdecimal() for name in classes):
        shown = ", ".join(f"{code} is `{name}`" for code, name in enumerate(classes[:10]))
        rest = ", …" if len(classes) > 10 else ""
        events.info(f"of the network's outputs, {shown}{rest}; `data.classes=` gives them in another order")


def _network(path: Path, job: ImportJob, schema: Schema, train: Columns) -> tuple[Form, Task]:
    network = make_network(job.model, schema, seed=0)
    load_weights(network, read_weights(path, job.part), path)
    network.eval()
    input_names(network, schema)
    modules = preprocessing.unfitted(schema)
    if schema.image is not None:
        events.warning(
            "the network gets pixels scaled to 0..1: if it was trained on others, put the scaling into its forward; "
            "compare the accuracy with the one you know"
        )
    inputs, _ = train.take(slice(0, PROBE_ROWS))
    prepared = [module(torch.from_numpy(x)) for module, x in zip(modules, inputs.values(), strict=True)]
    task = make_task(job.task, schema, answer_of(network, prepared))
    return NetworkForm(network, modules, task), task


def _graph(path: Path, job: ImportJob, schema: Schema, train: Columns) -> tuple[Form, Task]:
    model = read_graph(path)
    form = GraphForm(model)
    names = form.input_names(schema)
    inputs, _ = train.take(slice(0, PROBE_ROWS))
    try:
        answers = {name: torch.from_numpy(array) for name, array in form.answer(list(inputs.values())).items()}
    except InputError as error:
        raise CheckError(
            f"`{path}` cannot run {len(train.target[:PROBE_ROWS])} rows at once: {error.message}",
            hint="a batch size may be baked into it: export it again with an open axis 0",
        ) from error
    task = make_task(job.task, schema, answers)
    return GraphForm(named(model, names, task.output_kind)), task
