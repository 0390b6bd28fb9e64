"""Train a network on a dataset, and make a verified model of it."""

from __future__ import annotations

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.disk import explained_disk_errors
from mltool.artifacts.manifest import ArtifactKind, Parent
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.config.load import Resolved
from mltool.datasets.dataset import Dataset
from mltool.integrations import lightning
from mltool.modeling.network import answer_of, check_network
from mltool.modeling.packaging.made import Made
from mltool.modeling.packaging.network_form import NetworkForm
from mltool.modeling.packaging.package import package
from mltool.modeling.rebuild.recipe import code_digests, recipe
from mltool.modeling.sources.names import model_name
from mltool.modeling.sources.open import open_dataset, warn_of_embedded_data
from mltool.modeling.tasks.task import measured_again
from mltool.modeling.training.feed import MEMORY_SHARE
from mltool.modeling.training.setup import prepare, scales_target, set_up
from mltool.modeling.training.speed import check_processes, device_for, num_threads
from mltool.stages.train.config import TrainJob
from mltool.stages.train.order import Order
from mltool.stages.train.processes import train_together
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
    check_processes(job.train, device_for(job.train.device))
    warn_of_embedded_data(job.model, plan.origins)
    dataset = open_dataset(job.data, store)
    name = model_name(job.name, job.data, dataset)
    store.refs.versions(ArtifactKind.model, name)  # a damaged pointer file is met before hours of work, not after
    key = run_key(job, dataset.artifact.digest, code_digests(job.model, job.task))
    run = _run_to_use(store, key, resume)
    if run.artifact is not None:
        artifact = store.find(run.artifact, ArtifactKind.model)
        events.info(f"already complete: `{artifact.label}`")
        return artifact
    with run.held():
        made = _trained(plan, dataset, run, resume=resume)
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


def _trained(plan: Resolved[TrainJob], dataset: Dataset, run: Run, *, resume: bool) -> Made:
    job, config, stored = plan.config, plan.config.train, plan.stored
    # Other processes will hold the samples: this one only asks for some of them.
    memory_share = MEMORY_SHARE if config.processes == 1 else 0.0
    prepared = prepare(dataset, scale_target=scales_target(job.model, job.task), memory_share=memory_share)
    ready = set_up(job.model, job.task, config, prepared, run.remembered)
    by_lightning = lightning.trains(ready.network)
    if by_lightning:
        lightning.check(ready.network, config, plan.origins)
    threads, bf16, device = ready.threads, ready.bf16, ready.device.type
    with trackers(config, run, stored, resume=resume) as on_epoch:
        fit = ready.fit(prepared, config, run.folder, on_epoch)
        if config.processes > 1:
            order = Order.of(job, dataset, run.folder, threads=threads, bf16=bf16, device=device, resume=resume)
            history = fit.run_elsewhere(lambda: train_together(order, on_epoch))
        else:
            with num_threads(threads):
                history = lightning.fit(fit, resume=resume) if by_lightning else fit.run(resume=resume)
    task = measured_again(ready.task, answer_of(ready.network, prepared.probe()))
    return Made(
        form=NetworkForm(ready.network, prepared.modules, task, prepared.scale),
        task=task,
        schema=prepared.schema,
        splits=prepared.splits,
        config=stored,
        rebuild=recipe(job.model, stored, prepared.schema, task),
        history=history,
        parents=[Parent("data", ArtifactKind.dataset, dataset.artifact.digest, dataset.artifact.ref)],
        facts={
            "run": run.id,
            "threads": threads,
            "processes": config.processes,
            "bf16": bf16,
            "device": device,
            "trainer": "lightning" if by_lightning else "mltool",
            "made_by": "train",
        },
    )
