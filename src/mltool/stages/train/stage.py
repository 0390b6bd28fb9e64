"""Train a network on a dataset, and make a verified model of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.datasets.dataset import Dataset
from mltool.modeling import preprocess as preprocessing
from mltool.modeling.network import PROBE_ROWS, answer_of, check_network, input_names, make_network
from mltool.modeling.packaging.made import Made
from mltool.modeling.packaging.network_form import NetworkForm
from mltool.modeling.packaging.package import package
from mltool.modeling.preprocess import input_words
from mltool.modeling.rebuild.recipe import code_digests, recipe
from mltool.modeling.sources.names import model_name
from mltool.modeling.sources.open import open_dataset
from mltool.modeling.tasks.task import check_same_output_kind, make_task, measured_again
from mltool.modeling.training.feed import make_feed
from mltool.modeling.training.loop import Fit
from mltool.modeling.training.speed import as_channels_last, device_for, fastest_precision, threads_for
from mltool.stages.train.config import TrainJob
from mltool.stages.train.run import Run, finished_run, new_run, run_key, unfinished_run
from mltool.stages.train.tracking import trackers


def train(plan: Resolved[TrainJob], store: Store, *, resume: bool = False) -> Artifact:
    """Train, export, verify and store a model.

    Raises:
        CheckError: The model was trained, but its export or another check failed; it is kept without a name.
        ConfigError: The network, the task or a batch does not fit the data.
        DataError: The data cannot be used.
        KeyboardInterrupt: Somebody stopped it; `resume` continues.
        MltoolError: The loss is no longer finite.
    """
    with explained_disk_errors(store.root):
        return _train(plan, store, resume=resume)


def _train(plan: Resolved[TrainJob], store: Store, *, resume: bool) -> Artifact:
    job = plan.config
    check_network(job.model)
    device_for(job.train.device)
    if job.model.target is not None and not {"data.source", "data.target"} & plan.origins.keys():
        events.warning("no `data.source=` is given, so your network gets the embedded digits")
    dataset = open_dataset(job.data, store)
    name = model_name(job.name, job.data, dataset)
    store.refs.versions(ArtifactKind.model, name)  # a damaged pointer file is met before hours of work, not after
    stored = plan.stored
    key = run_key(job, dataset.artifact.digest, code_digests(job.model, job.task))
    run = _run_to_use(store, key, resume)
    if run.artifact is not None:
        artifact = store.find(run.artifact, ArtifactKind.model)
        events.info(f"already complete: `{artifact.label}`")
        return artifact
    with run.held():
        made = _trained(job, dataset, stored, run, resume=resume)
        artifact = package(made, name, store)
        run.finish(artifact.digest)
    return artifact


def _run_to_use(store: Store, key: str, resume: bool) -> Run:
    if not resume:
        return new_run(store, key)
    run = unfinished_run(store, key)
    if run is not None:
        events.info(f"resuming run {run.id}")
        return run
    done = finished_run(store, key)
    if done is not None:
        return done
    events.info("there is no unfinished run with this config, data and code; starting a new one")
    return new_run(store, key)


def _trained(job: TrainJob, dataset: Dataset, stored: dict[str, Any], run: Run, *, resume: bool) -> Made:
    schema = dataset.schema
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    device = device_for(job.train.device)
    network = make_network(job.model, schema, job.train.seed)
    input_names(network, schema)
    modules = preprocessing.fit(schema, splits["train"])
    scale = _target_scale(job, dataset)
    feed = make_feed(splits["train"], schema, modules, scale)
    probed, _ = feed.gather(np.arange(min(PROBE_ROWS, len(feed))))
    task = make_task(job.task, schema, answer_of(network, probed))
    if job.model.target is not None:
        events.info(f"the network gets {input_words(schema)}; it answers {task.in_words()}")
    check_same_output_kind(task, network, probed)
    threads = job.train.threads or threads_for(network, feed, job.train.batch_size)
    bf16 = run.remembered("bf16", lambda: fastest_precision(network, task, feed, job.train, threads, device))
    if bf16:
        network = as_channels_last(network)
    validation = make_feed(splits["validation"], schema, modules, scale)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with trackers(job.train, run, stored, resume=resume) as on_epoch:
            fit = Fit(network, task, feed, validation, job.train, run.folder, scale, on_epoch, bf16, device)
            history = fit.run(resume=resume)
    finally:
        torch.set_num_threads(before)
    task = measured_again(task, answer_of(network, probed))
    return Made(
        form=NetworkForm(network, modules, task, scale),
        task=task,
        schema=schema,
        splits=splits,
        config=stored,
        rebuild=recipe(job.model, stored, schema, task),
        history=history,
        parents=[Parent("data", ArtifactKind.dataset, dataset.artifact.digest, dataset.artifact.ref)],
        facts={"run": run.id, "threads": threads, "bf16": bf16, "device": device.type, "made_by": "train"},
    )


def _target_scale(job: TrainJob, dataset: Dataset) -> tuple[float, float]:
    """Mean and deviation of a regression's target; the user's own network or loss gets targets as they are."""
    if dataset.schema.target.kind != "number" or job.model.target is not None or ":" in job.task.loss:
        return 0.0, 1.0
    target_N = np.asarray(dataset.split("train").target, dtype=np.float64)
    return float(target_N.mean()), float(target_N.std()) or 1.0
