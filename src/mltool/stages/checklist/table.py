"""The items of the checklist: what each is called, where it comes from, and what does it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Item:
    """One step of the road.

    Attributes:
        origin: `O` stands in the checklist that mltool implements, `N` was added by a later edition of it.
        command: The command that does the step, or what to do by hand.
        needs: Items that come before it; what is needed most is suggested first.
    """

    id: str
    title: str
    origin: Literal["O", "N"]
    area: str
    command: str
    needs: tuple[str, ...] = ()


def _items() -> Iterator[Item]:
    area = "project"
    yield Item("git", "a git repository", "O", area, "git init")
    yield Item("access", "every member can write", "O", area, "invite them in the settings of the repository", ("git",))
    yield Item("environment", "a dedicated environment", "O", area, "state `requires-python` and lock: uv lock")
    yield Item("layout", "file structure from a template", "O", area, "uvx cookiecutter TEMPLATE")
    yield Item("make-dataset", "a data script that downloads and prepares", "O", area, "mltool data add source=PATH")
    yield Item(
        "model-train", "model file and training script that run", "O", area,
        "mltool train model.target=MODULE:CLASS data.source=PATH", ("make-dataset",),
    )  # fmt: skip
    yield Item(
        "requirements", "dependencies listed", "O", area, "list every import in pyproject.toml", ("environment",)
    )
    yield Item("pep8", "good coding practice", "O", area, "ruff format . && ruff check --fix .")
    yield Item("typing-docs", "typing and documentation of essential parts", "O", area, "mypy --strict SOURCES")
    yield Item(
        "data-version", "data under version control", "O", area, "mltool data push remote=FOLDER", ("make-dataset",)
    )
    yield Item("cli", "command line and project commands", "N", area, "add `[project.scripts]` or a Makefile")

    area = "experiments"
    yield Item("docker", "docker files", "O", area, "mltool deploy docker context_folder=image", ("requirements",))
    yield Item("docker-build", "docker files built and working", "O", area, "mltool deploy docker", ("docker",))
    yield Item("config", "configuration files for experiments", "O", area, "mltool train --print-config > mltool.yaml")
    yield Item(
        "hydra", "configuration manager for hyperparameters", "O", area,
        "mltool train --print-config > mltool.yaml", ("config", "model-train"),
    )  # fmt: skip
    yield Item("profiling", "profiling, and optimisation from it", "O", area, "mltool profile", ("model-train",))
    yield Item("logging", "logging of important events", "N", area, "replace print by logging.getLogger(__name__)")
    yield Item("wandb", "experiments tracked", "O", area, "mltool train wandb_project=NAME", ("model-train",))
    yield Item("sweep", "hyperparameter search", "N", area, "mltool tune", ("model-train", "config"))
    yield Item("lightning", "less boilerplate", "O", area, "mltool train", ("model-train",))

    area = "tests"
    yield Item("test-data", "tests of the data part", "O", area, "write tests/test_data.py", ("make-dataset",))
    yield Item(
        "test-model", "tests of model construction and training", "O", area,
        "write tests/test_model.py, and assert the shapes", ("model-train",),
    )  # fmt: skip
    yield Item("coverage", "coverage calculated", "O", area, "pytest --cov", ("test-data", "test-model"))
    yield Item(
        "ci", "continuous integration", "O", area,
        "write .github/workflows/tests.yml that runs pytest on push", ("git", "test-data", "test-model"),
    )  # fmt: skip
    yield Item(
        "ci-matrix", "caching, several systems and versions", "N", area, "add a matrix and `cache: pip`", ("ci",)
    )
    yield Item("ci-lint", "lint step", "N", area, "add `ruff check .` to the workflow", ("ci", "pep8"))
    yield Item(
        "pre-commit", "pre-commit hooks", "O", area, "write .pre-commit-config.yaml; pre-commit install", ("git",)
    )
    yield Item(
        "cd-data", "workflow when data changes", "N", area,
        "add a workflow with `paths: ['**.dvc', 'dvc.lock']`", ("ci", "data-version"),
    )  # fmt: skip
    yield Item(
        "cd-model", "workflow when the registry changes", "N", area,
        "add a workflow on `repository_dispatch` that deploys", ("ci", "wandb"),
    )  # fmt: skip

    area = "cloud"
    yield Item(
        "gcs", "data storage on GCP, linked to data versions", "O", area,
        "mltool data push remote=gs://BUCKET/PATH", ("data-version",),
    )  # fmt: skip
    yield Item(
        "build-trigger",
        "images built automatically",
        "O",
        area,
        "add a cloudbuild.yaml that builds on push",
        ("docker", "git"),
    )
    yield Item("train-gcp", "model trained on GCP", "O", area, "gcloud ai custom-jobs create", ("docker", "gcs"))

    area = "scale"
    yield Item(
        "dist-data", "distributed data loading", "O", area,
        "measure the DataLoader with `num_workers` of 0, 1, 2 and 4", ("make-dataset",),
    )  # fmt: skip
    yield Item("dist-train", "distributed training", "O", area, "mltool train processes=2", ("model-train",))
    yield Item("quantize", "quantization (and pruning)", "O", area, "mltool quantize", ("model-train",))
    yield Item("compile", "compilation", "O", area, "mltool compile", ("model-train",))

    area = "service"
    yield Item("api", "an inference API", "N", area, "mltool serve", ("model-train",))
    yield Item("torchserve", "deployed locally with TorchServe", "O", area, "mltool deploy local", ("model-train",))
    yield Item("onnx", "a specialised ML deployment", "N", area, "mltool compile && mltool serve", ("model-train",))
    yield Item("api-tests", "API tests in CI", "N", area, "write tests/test_api.py with TestClient(app)", ("api", "ci"))
    yield Item("loadtest", "load test", "N", area, "locust --headless -f locustfile.py", ("api",))
    yield Item("frontend", "a frontend", "N", area, "mltool serve", ("api",))
    yield Item("deploy-gcp", "deployed on GCP", "O", area, "mltool deploy gcp REF project=PROJECT", ("api", "docker"))

    area = "watch"
    yield Item("collect-io", "inputs and outputs collected", "N", area, "mltool deploy local", ("api",))
    yield Item(
        "drift", "robustness towards data drift checked", "O", area, "mltool monitor robustness", ("model-train",)
    )
    yield Item(
        "drift-api", "drift detection deployed", "N", area,
        "mltool monitor drift deployment=NAME", ("drift", "collect-io"),
    )  # fmt: skip
    yield Item("system-metrics", "API instrumented", "N", area, "mltool serve", ("api",))
    yield Item(
        "system-monitor", "the system of the deployed model monitored", "O", area,
        "scrape /metrics of the server with Prometheus", ("system-metrics", "deploy-gcp"),
    )  # fmt: skip
    yield Item(
        "model-monitor", "the performance of the deployed model monitored", "O", area,
        "join labels to the prediction log by request id", ("collect-io",),
    )  # fmt: skip
    yield Item("alerts", "alerts", "N", area, "write alert rules over /metrics", ("system-monitor",))

    area = "the end"
    yield Item("docs", "documentation", "N", area, "mkdocs new . && mkdocs build --strict")
    yield Item("docs-pages", "documentation, published", "N", area, "mkdocs gh-deploy in a workflow", ("docs", "ci"))
    yield Item("diagram", "architecture diagram", "N", area, "draw it with mermaid in the README")
    yield Item("description", "revisit the description", "O", area, "read it again, and say what became of it")
    yield Item("understanding", "shared understanding", "O", area, "let each member explain every part")
    yield Item("presentation", "presentation", "O", area, "prepare it together")
    yield Item("report", "report", "O", area, "write it from what is done above")
    yield Item("uploaded", "all code on GitHub", "O", area, "git push", ("git",))


ITEMS: tuple[Item, ...] = tuple(_items())
