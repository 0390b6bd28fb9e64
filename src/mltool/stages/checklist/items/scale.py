"""dist-data, dist-train, quantize, compile: faster, smaller, on more processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mltool.artifacts.manifest import Manifest
from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.store import label
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, done, listed, missing, not_applicable, partly

_LOADERS = ("*.DataLoader", "torch.utils.data.DataLoader")
_FIGURES = re.compile(r"(num_?workers|data_?load\w*|loader)[\w-]*\.(png|svg|csv|json|txt)$", re.I)
_MEASURED = ("latency", "size_mib", "speedup")


def _no_network(evidence: Evidence) -> Finding | None:
    learning = evidence.learning
    if learning.is_of_another_kind:
        return not_applicable(f"its models are no networks: {listed(learning.other_kinds, 1)}")
    return None


@judges("dist-data")
def dist_data(evidence: Evidence) -> Finding:
    proofs = evidence.recorded.attested("bench", "loading")
    if proofs:
        return done(f"measured in `.mltool` on {proofs[-1].created_utc[:10]}", *_figures(proofs[-1].metrics))
    code = evidence.code
    several = [module.at(call.line) for module, call in code.calls(*_LOADERS) if _may_be_several(call.keywords)]
    shards = code.where_called(
        "*.DistributedSampler", "webdataset.WebDataset", "*.split_by_node", "*.IterableDataset.shard"
    )
    figures = sorted(path for path in evidence.project.files if _FIGURES.search(path) and not path.startswith("tests/"))
    used = [*several, *shards]
    if used and figures:
        return done(f"workers or shards at {listed(used)}", f"measured: {listed(figures)}")
    if used:
        return partly(f"workers or shards at {listed(used)}", "no figures of what they bring")
    return _no_network(evidence) or missing("data is loaded in one process")


def _may_be_several(keywords: Any) -> bool:
    return "num_workers" in keywords and keywords["num_workers"] != 0


@judges("dist-train")
def dist_train(evidence: Evidence) -> Finding:
    several = [one for one in evidence.recorded.models if _processes(one) > 1]
    if several:
        return done(f"{label(several[-1])} was trained by {_processes(several[-1])} processes")
    code = evidence.code
    used = code.where_called(
        "*.DistributedDataParallel",
        "torch.distributed.init_process_group",
        "*.FullyShardedDataParallel",
        "*.fully_shard",
        "accelerate.Accelerator",
        "torch.nn.DataParallel",
        "deepspeed.initialize",
        "horovod.*",
    )
    used += [module.at(call.line) for module, call in code.calls("*.Trainer") if _is_several(call.keywords)]
    used += [step.at for step in evidence.workflows.runs(r"\btorchrun\b|torch\.distributed\.run|accelerate launch")]
    logs = [
        path
        for path in evidence.project.named("hparams.yaml", "config.yaml")
        if path.startswith(("lightning_logs/", "outputs/", "wandb/"))
        and re.search(
            r"^[ \t]*(num_)?(devices|nodes|processes|world_size): *([2-9]|\d\d)", evidence.project.text(path), re.M
        )
    ]
    if used and logs:
        return done(f"several processes at {listed(used)}", f"a run: {listed(logs)}")
    if used:
        return partly(f"several processes at {listed(used)}", "no run with more than one is recorded")
    return _no_network(evidence) or missing("nothing trains in more than one process")


def _processes(model: Manifest) -> int:
    train = model.config.get("train")
    values = [model.facts.get("processes"), train.get("processes") if isinstance(train, dict) else None]
    return max((value for value in values if isinstance(value, int)), default=1)


def _is_several(keywords: Any) -> bool:
    devices, strategy = keywords.get("devices"), str(keywords.get("strategy") or "")
    return (
        (isinstance(devices, int) and devices > 1) or "ddp" in strategy or "fsdp" in strategy or "deepspeed" in strategy
    )


@judges("quantize")
def quantize(evidence: Evidence) -> Finding:
    used = evidence.code.where_called(
        "torch.quantization.*", "torch.ao.quantization.*", "torchao.*", "onnxruntime.quantization.*",
        "torch.quantize_per_tensor", "torch.nn.utils.prune.*", "nncf.*", "*.BitsAndBytesConfig",
        "neural_compressor.*", "*.PostTrainingQuantConfig",
    )  # fmt: skip
    return _variant(evidence, "quantize", used, "quantized or pruned")


@judges("compile")
def compile_(evidence: Evidence) -> Finding:
    used = evidence.code.where_called(
        "torch.compile", "*.compile_model", "torch.jit.script", "torch.jit.trace", "torch_tensorrt.*",
        "torch.export.export", "openvino.convert_model", "torch._inductor.*", "*.to_torchscript",
    )  # fmt: skip
    return _variant(evidence, "compile", used, "compiled")


def _variant(evidence: Evidence, verb: str, used: Sequence[str], does: str) -> Finding:
    variants = [
        one
        for one in evidence.recorded.variants(verb)
        if any(word in name for name in one.metrics for word in _MEASURED)
    ]
    if variants:
        return done(f"{label(variants[-1])}, measured beside its parent", *_figures(variants[-1].metrics))
    kept = evidence.recorded.attested(verb)
    if kept:
        tried = kept[-1].facts.get("candidates")
        count = len(tried) if isinstance(tried, list) else 0
        return done(f"{count} candidates were measured on {kept[-1].created_utc[:10]}; none paid, so the model stays")
    if used:
        return partly(
            f"{does} at {listed(list(used))}", "accuracy, size and latency beside the parent are not recorded"
        )
    return _no_network(evidence) or missing(f"no model is {does}")


def _figures(metrics: Any) -> list[str]:
    wanted = [(name, value) for name, value in dict(metrics).items() if isinstance(value, int | float)]
    first = [item for item in wanted if not any(word in item[0] for word in _MEASURED)][:1]
    return [
        f"{name} {value:.4g}" for name, value in [*first, *(i for i in wanted if any(w in i[0] for w in _MEASURED))][:4]
    ]
