"""A project of somebody else that has done everything on the checklist that can be seen by reading."""

from __future__ import annotations

import os
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.items import JUDGES
from mltool.stages.checklist.project import Project
from mltool.stages.checklist.verdict import Finding

FILES: dict[str, str] = {
    "README.md": "# Corn\n\n```mermaid\ngraph LR; data --> model --> api\n```\n",
    "pyproject.toml": """
        [project]
        name = "corn"
        requires-python = ">=3.11"
        dependencies = ["torch>=2.6", "hydra-core>=1.3", "wandb>=0.19", "fastapi>=0.115", "optuna>=4", "onnxruntime",
                        "evidently>=0.7", "requests>=2", "prometheus-client>=0.20", "google-cloud-storage>=2.18",
                        "lightning>=2.4", "streamlit", "locust", "numpy"]
        [dependency-groups]
        dev = ["pytest", "pytest-cov", "ruff"]
        [project.scripts]
        corn = "corn.train:main"
        [tool.ruff]
        line-length = 100
        """,
    "src/corn/__init__.py": "",
    "src/corn/data.py": '''
        """Data."""
        import logging
        from pathlib import Path

        import torch
        from torch.utils.data import DataLoader, Dataset

        logger = logging.getLogger(__name__)


        class Corn(Dataset):
            """Pictures of leaves."""

            def __len__(self) -> int:
                return 4


        def prepare(raw: Path, out: Path) -> None:
            """Normalize the raw pictures."""
            logger.info("preparing %s", raw)
            torch.save(torch.zeros(4), out / "train.pt")


        def loader(batch_size: int) -> DataLoader:
            """Read in four processes."""
            return DataLoader(Corn(), batch_size=batch_size, num_workers=4)
        ''',
    "src/corn/model.py": '''
        """Model."""
        import lightning as L
        import torch
        from torch import nn


        class Net(L.LightningModule):
            """A small network."""

            def __init__(self, width: int, lr: float) -> None:
                super().__init__()
                self.layer = nn.Linear(4, width)
                self.lr = lr

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                """Logits."""
                return self.layer(x)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                """Adam."""
                return torch.optim.Adam(self.parameters(), lr=self.lr)
        ''',
    "src/corn/train.py": '''
        """Training."""
        import hydra
        import lightning as L
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        from corn.data import loader
        from corn.model import Net


        @hydra.main(config_path="../../conf", config_name="config", version_base=None)
        def main(cfg) -> None:
            """Train one model."""
            model = Net(cfg.model.width, cfg.lr)
            trainer = L.Trainer(logger=WandbLogger(project="corn", log_model=True), devices=2, strategy="ddp",
                                profiler="simple")
            trainer.fit(model, loader(cfg.batch_size))
            wandb.log({"done": 1})


        if __name__ == "__main__":
            main()
        ''',
    "src/corn/api.py": '''
        """API."""
        import onnxruntime
        from fastapi import BackgroundTasks, FastAPI
        from prometheus_client import Counter, make_asgi_app

        app = FastAPI()
        requests_total = Counter("requests_total", "Requests")
        app.mount("/metrics", make_asgi_app())
        session = onnxruntime.InferenceSession("models/net.onnx")


        @app.post("/predict")
        def predict(x: float, tasks: BackgroundTasks) -> dict[str, float]:
            """Answer."""
            tasks.add_task(print, x)
            return {"y": 0.0}
        ''',
    "src/corn/drift.py": '''
        """Drift."""
        from evidently import Report
        from evidently.presets import DataDriftPreset


        def check() -> Report:
            """Compare."""
            return Report([DataDriftPreset()])
        ''',
    "src/corn/frontend.py": '''
        """Page."""
        import requests
        import streamlit as st

        st.title("Corn")
        st.write(requests.post("http://localhost/predict", json={}).json())
        ''',
    "tests/test_data.py": """
        from corn.data import Corn


        def test_corn_has_rows():
            assert len(Corn()) == 4
        """,
    "tests/test_model.py": """
        import torch

        from corn.model import Net


        def test_shapes():
            assert Net(3, 0.1)(torch.zeros(2, 4)).shape == (2, 3)
        """,
    "tests/test_api.py": """
        from fastapi.testclient import TestClient

        from corn.api import app

        client = TestClient(app)


        def test_it_answers():
            assert client.post("/predict").status_code == 200
        """,
    "tests/locustfile.py": """
        from locust import HttpUser, task


        class User(HttpUser):
            @task
            def ask(self):
                self.client.post("/predict")
        """,
    "conf/config.yaml": "lr: 0.001\nbatch_size: 8\nmodel: {width: 3}\n",
    "conf/experiment/wide.yaml": "model: {width: 30}\n",
    "sweep.yaml": "program: src/corn/train.py\nmethod: bayes\nparameters:\n  lr: {min: 0.0001, max: 0.1}\n",
    "dockerfiles/train.dockerfile": """
        FROM python:3.11-slim
        COPY pyproject.toml ./
        COPY src src/
        RUN pip install . \\
            --no-cache-dir
        ENTRYPOINT ["python", "-m", "corn.train"]
        """,
    "cloudbuild.yaml": """
        steps:
          - name: gcr.io/cloud-builders/docker
            args: [build, -t, corn, -f, dockerfiles/train.dockerfile, .]
        """,
    "job.yaml": "workerPoolSpecs:\n  machineSpec: {machineType: n1-highmem-2}\n  replicaCount: 1\n",
    "service.yaml": "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: corn}\n",
    "prometheus.yml": "scrape_configs:\n  - job_name: corn\n",
    "alerts.yml": "groups:\n  - name: corn\n    rules:\n      - alert: Down\n        expr: up == 0\n",
    ".github/workflows/tests.yaml": """
        name: tests
        on: [push, pull_request]
        jobs:
          test:
            runs-on: ${{ matrix.os }}
            strategy:
              matrix:
                os: [ubuntu-latest, macos-latest]
                python: ["3.11", "3.12"]
            steps:
              - uses: actions/setup-python@v5
                with: {cache: pip}
              - run: pip install -e . ruff
              - run: ruff check .
              - run: pytest --cov=corn tests
          image:
            runs-on: ubuntu-latest
            steps:
              - uses: docker/build-push-action@v6
        """,
    ".github/workflows/data.yaml": """
        on:
          push:
            paths: ["**.dvc"]
        jobs:
          check: {runs-on: ubuntu-latest, steps: [{run: dvc pull}]}
        """,
    ".github/workflows/model.yaml": """
        on:
          repository_dispatch: {types: [staged]}
        jobs:
          deploy: {runs-on: ubuntu-latest, steps: [{run: gcloud run deploy corn}]}
        """,
    ".github/workflows/drift.yaml": """
        on:
          schedule: [{cron: "0 3 * * *"}]
        jobs:
          drift: {runs-on: ubuntu-latest, steps: [{run: python -m corn.drift}]}
        """,
    ".github/workflows/pages.yaml": """
        on: push
        jobs:
          pages: {runs-on: ubuntu-latest, steps: [{run: mkdocs gh-deploy}]}
        """,
    ".pre-commit-config.yaml": """
        repos:
          - repo: https://github.com/astral-sh/ruff-pre-commit
            rev: v0.11.0
            hooks: [{id: ruff}, {id: ruff-format}]
        """,
    "mkdocs.yml": "site_name: Corn\nnav: [index.md]\n",
    "docs/index.md": "# Corn\n",
    "data.dvc": "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: data\n",
    ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = gs://corn-data\n",
    "data/processed/train.csv": "a,b\n1,2\n",
    "models/net.ckpt": "weights",
    "models/net.mar": "archive",
    "models/config.properties": "inference_address=http://127.0.0.1:8080\n",
    "reports/profile.txt": "10 function calls\n",
    "reports/num_workers.png": "picture",
    "reports/drift.html": "<html></html>",
    "lightning_logs/version_0/hparams.yaml": "devices: 2\n",
    "prediction_database.csv": "time,x,y\n",
    "Makefile": "train:\n\tcorn\n",
}


class Files:
    """The files of a project, to be written once and then changed one at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(text)
        path.write_text(text.removeprefix("\n") if text.startswith("\n") else text, encoding="utf-8")

    def remove(self, *names: str) -> None:
        for name in names:
            (self.root / name).unlink()

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")

    def judge(self, item: str) -> Finding:
        return JUDGES[item](Evidence(Project(self.root)))

    def git(self, *arguments: str, author: str = "Ada <ada@example.com>") -> None:
        name, _, email = author.removesuffix(">").partition(" <")
        identity = ["-c", f"user.name={name}", "-c", f"user.email={email}", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)


def write_whole_project(root: Path) -> Files:
    files = Files(root)
    for name, text in FILES.items():
        files.write(name, text)
    an_hour_ago = time.time() - 3600
    os.utime(root / "models/net.ckpt", (an_hour_ago, an_hour_ago))
    return files


Change = Callable[[Files], None]
Flip = tuple[str, str, Change, str]
"""An item, the verdict that a change leads to, and a part of the evidence."""


def without(*names: str) -> Change:
    return lambda files: files.remove(*names)


def replaced(name: str, old: str, new: str) -> Change:
    return lambda files: files.replace(name, old, new)


def written(name: str, text: str) -> Change:
    return lambda files: files.write(name, text)


def both(*changes: Change) -> Change:
    def change(files: Files) -> None:
        for one in changes:
            one(files)

    return change
