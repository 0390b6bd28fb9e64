"""layout, make-dataset, model-train: where things lie, how data is made, and what is trained."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.python_source import Module
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, done, listed, missing, partly

_TEMPLATES = (".cruft.json", ".copier-answers.yml", ".copier-answers.yaml", ".cookiecutter.json", ".cookiecutterrc")
_WRITES = (
    "torch.save", "numpy.save", "numpy.savez", "numpy.savez_compressed", "*.to_csv", "*.to_parquet", "*.to_feather",
    "*.to_json", "*.save_to_disk", "pickle.dump", "joblib.dump", "shutil.copy", "shutil.copytree", "shutil.move",
    "*.save", "cv2.imwrite", "*.imwrite", "*.write_parquet", "*.write_csv", "safetensors.torch.save_file",
    "h5py.File", "*.to_pickle", "*.extractall", "urllib.request.urlretrieve", "*.write_bytes", "*.write_text",
    "*.snapshot_download", "*.dataset_download", "*.download_and_extract_archive",
)  # fmt: skip
_MANY = 50
_PROCESSED = re.compile(r"^(data|datasets?)/(processed|interim|prepared|final|features|clean)/")
_TARGET = re.compile(r"^(data|dataset|make_dataset|preprocess|preprocess_data|prepare|get_data)\s*:", re.MULTILINE)


@judges("layout")
def layout(evidence: Evidence) -> Finding:
    project, code = evidence.project, evidence.code
    packages = sorted(
        path.removesuffix("/__init__.py")
        for path in project.named("__init__.py")
        if re.fullmatch(r"(src/)?[^/.]+/__init__\.py", path) and not re.match(r"(tests?|docs|examples)/", path)
    )
    broken = [one for one in code.broken if any(one.startswith(f"{package}/") for package in packages)]
    tests = any(module.role == "test" for module in code.modules)
    kept_apart = [
        f for f in ("data", "models", "datasets", "artifacts") if f in project.folders or _is_ignored(evidence, f)
    ]
    kept_apart += [path for path in ("data.dvc", "models.dvc") if path in project.files]
    template = [path for path in _TEMPLATES if path in project.files]
    lacks = [] if packages else ["no package with an `__init__.py` at the top or in `src`"]
    lacks += [f"the package cannot be imported: {listed(broken)}"] if broken else []
    lacks += [] if tests else ["no tests"]
    lacks += [] if kept_apart else ["no place of their own for data and models"]
    facts = [
        f"package {listed([f'`{one}`' for one in packages])}" if packages else "",
        f"made from {template[0]}" if template else "",
    ]
    facts += [f"{listed([f'`{one}`' for one in kept_apart])} apart" if kept_apart else ""]
    if not lacks:
        return done(*facts)
    return partly(*facts, *lacks) if packages or kept_apart or tests else missing(*lacks)


def _is_ignored(evidence: Evidence, folder: str) -> bool:
    text = evidence.project.text(".gitignore") if ".gitignore" in evidence.project.files else ""
    return bool(re.search(rf"^/?{folder}(/|/\*+)?\s*$", text, re.MULTILINE))


@judges("make-dataset")
def make_dataset(evidence: Evidence) -> Finding:
    learning, project, dvc = evidence.learning, evidence.project, evidence.dvc
    if learning.datasets:
        return done(f"dataset {listed(learning.datasets)} in `.mltool`")
    scripts = evidence.code.where_called(*_WRITES, among=learning.data_sources)
    makefile = _TARGET.search(project.text("Makefile")) if "Makefile" in project.files else None
    if makefile:
        scripts.append(f"Makefile: target `{makefile[1]}`")
    scripts += [
        f"dvc.yaml: stage `{name}`" for name, stage in dvc.stages.items() if isinstance(stage, dict) and "outs" in stage
    ][:2]
    outputs = sorted(
        path
        for path, file in project.files.items()
        if _PROCESSED.match(path) and file.size_bytes and file.name != ".gitkeep"
    )
    outputs += [*dvc.locked, *dvc.tracked]
    if scripts and outputs:
        return done(f"data is written at {listed(scripts)}", f"it was run: {listed(outputs)}")
    if scripts:
        return partly(f"data is written at {listed(scripts)}", "nothing shows that it was run")
    if outputs:
        return partly(f"data in {listed(outputs)}", "no script that makes it")
    if learning.data_sources:
        return partly(f"`{learning.data_sources[0].path}` is about data, but writes none")
    return missing("no script writes data")


@judges("model-train")
def model_train(evidence: Evidence) -> Finding:
    learning = evidence.learning
    models = [f"`{one.name}` ({module.at(one.line)})" for module, one in learning.networks]
    models += learning.borrowed or (learning.other_kinds[:1] if learning.is_of_another_kind else [])
    if evidence.recorded.models:
        recorded = [run for run in learning.runs if run.startswith("`")]
        return done(f"model {listed(recorded)} in `.mltool`", f"network {listed(models)}" if models else "")
    entries = [module.at(line) for module, line in learning.training[:_MANY] if _uses_model(evidence, module)]
    if not models and not learning.training:
        return missing("no network and no training")
    facts = [
        f"network {listed(models)}" if models else "no network",
        f"trained at {listed(entries)}" if entries else "",
    ]
    if not entries:
        where = listed([module.at(line) for module, line in learning.training])
        return partly(
            facts[0],
            f"something is trained at {where}, but no model is reached from there" if where else "nothing trains it",
        )
    if not learning.runs:
        return partly(*facts, "no run is recorded")
    return done(*facts, f"run: {listed(learning.runs)}")


def _uses_model(evidence: Evidence, module: Module) -> bool:
    """Whether a source that trains, or one that calls it, defines a model, imports one, or takes one of a library."""
    code, learning = evidence.code, evidence.learning
    if learning.is_of_another_kind:
        return True
    networks = {owner.path for owner, _ in learning.networks}
    for one in (module, *code.importers(module)):
        reached = code.reached_from(one)
        if any(other.path in networks for other in reached) or code.where_called(*_BORROWED_CALLS, among=[one]):
            return True
    return False


_BORROWED_CALLS = ("timm.*", "torch.hub.load", "torchvision.models.*", "*.from_pretrained", "torch.nn.Sequential")
