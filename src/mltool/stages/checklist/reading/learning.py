"""Where a project makes its data, defines its model and trains it."""

from __future__ import annotations

import re
from functools import cached_property

from mltool.artifacts.manifest import ArtifactKind
from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.code import Code
from mltool.stages.checklist.reading.python_source import Class, Module
from mltool.stages.checklist.reading.store import Recorded, label

NETWORKS = (
    "torch.nn.Module",
    "nn.Module",
    "torch.nn.Sequential",
    "lightning.LightningModule",
    "torch.nn.modules.Module",
)
TRAINERS = (
    "lightning.Trainer",
    "transformers.Trainer",
    "transformers.Seq2SeqTrainer",
    "trl.SFTTrainer",
    "ultralytics.YOLO",
)
_DATASETS = (
    "torch.utils.data.Dataset", "torch.utils.data.IterableDataset", "lightning.LightningDataModule",
    "torchvision.datasets.VisionDataset",
)  # fmt: skip
_BORROWED = (
    "timm.create_model", "torch.hub.load", "torchvision.models.*", "*.from_pretrained", "timm.models.create_model",
    "segmentation_models_pytorch.*", "ultralytics.YOLO",
)  # fmt: skip
_OTHER = ("sklearn", "xgboost", "lightgbm", "catboost", "keras", "tensorflow", "jax", "flax", "stable_baselines3")
_TRAINS = (
    *(f"{trainer}.fit" for trainer in TRAINERS), *(f"{trainer}.train" for trainer in TRAINERS), "*.LightningCLI",
    "mltool.train", "mltool.save", "xgboost.train", "lightgbm.train",
)  # fmt: skip
_DATA_NAME = re.compile(
    r"(^|[_/])(data|dataset|datasets|dataloader|datamodule|preprocess|preprocessing|prepare|etl)", re.I
)
_MODEL_FILE = re.compile(r"\.(pt|pth|ckpt|safetensors|onnx|pkl|joblib|h5|keras|bin)(\.dvc)?$")
_RUN_FOLDERS = ("wandb", "lightning_logs", "mlruns", "outputs", "runs", "multirun", "logs")


class Learning:
    def __init__(self, project: Project, code: Code, recorded: Recorded) -> None:
        self._project, self._code, self._recorded = project, code, recorded

    @cached_property
    def networks(self) -> list[tuple[Module, Class]]:
        return self._code.classes(*NETWORKS)

    @cached_property
    def borrowed(self) -> list[str]:
        """Where a network of a library is taken."""
        return self._code.where_called(*_BORROWED)

    @cached_property
    def other_kinds(self) -> list[str]:
        """Where something else than PyTorch is imported that learns."""
        return self._code.imports(*_OTHER)

    @property
    def uses_torch(self) -> bool:
        return bool(self.networks or self._code.imports("torch", "lightning", "pytorch_lightning", "transformers"))

    @property
    def is_of_another_kind(self) -> bool:
        """Whether the models are no networks of PyTorch, such as trees; what speaks of networks then does not apply."""
        return not self.uses_torch and bool(self.other_kinds) and not self._recorded.models

    @cached_property
    def training(self) -> list[tuple[Module, int]]:
        """Sources that train, with the line of what does it."""
        found: dict[str, tuple[Module, int]] = {}
        for module, call in self._code.calls(*_TRAINS, "*.backward", "*.fit"):
            is_fit = call.name.endswith(".fit") and call.name not in _TRAINS
            head = call.name.rpartition(".")[0]
            if is_fit and (not self._learns(module) or any(w in head.lower() for w in _NO_MODELS)):
                continue
            if call.name.endswith(".backward") and not self._optimizes(module):
                continue
            found.setdefault(module.path, (module, call.line))
        return sorted(found.values(), key=lambda item: (item[0].role != "source", item[0].path))

    def _learns(self, module: Module) -> bool:
        return any(
            one.name.partition(".")[0] in (*_OTHER, "torch", "lightning", "pytorch_lightning") for one in module.imports
        )

    def _optimizes(self, module: Module) -> bool:
        return any(call.name.endswith((".step", ".zero_grad")) for call in module.calls)

    @cached_property
    def training_path(self) -> list[Module]:
        """What trains, what that uses, and what starts it."""
        found = {one.path: one for module, _ in self.training for one in self._code.reached_from(module)}
        trained = {module.path for module, _ in self.training}
        for module in self._code.working:
            if module.is_script and any(one.path in trained for one in self._code.reached_from(module)):
                found.setdefault(module.path, module)
        return list(found.values())

    @cached_property
    def data_sources(self) -> list[Module]:
        """Sources that by their name, or by the classes in them, prepare or load data."""
        with_classes = {module.path for module, _ in self._code.classes(*_DATASETS)}
        return [m for m in self._code.sources if m.path in with_classes or _DATA_NAME.search(m.path)]

    @cached_property
    def model_sources(self) -> list[Module]:
        """Sources that define or train a model."""
        paths = {module.path: module for module, _ in (*self.networks, *self.training) if module.role == "source"}
        for module in self._code.sources:
            if re.search(r"(^|/)(model|models|network|train)[\w]*(\.py|/)", module.path):
                paths.setdefault(module.path, module)
        return list(paths.values())

    @cached_property
    def runs(self) -> list[str]:
        """Records of training: models that mltool knows, files of weights, folders of runs, locked stages."""
        found = [label(one) for one in self._recorded.models]
        found += [f"`.mltool/refs/model/{name}.json`" for name in self._recorded.names("model")]
        tracked = [path for path in self._project.files if _MODEL_FILE.search(path) and not path.startswith("tests/")]
        found += sorted(tracked, key=lambda path: (path.count("/"), path))[:3]
        found += [f"{folder}/" for folder in _RUN_FOLDERS if folder in self._project.folders]
        return found

    @property
    def datasets(self) -> list[str]:
        return [label(one) for one in self._recorded.of(ArtifactKind.dataset)]


_NO_MODELS = (
    "scaler",
    "encoder",
    "tokenizer",
    "pca",
    "vectorizer",
    "imputer",
    "tsne",
    "umap",
    "transformer",
    "binarizer",
)
