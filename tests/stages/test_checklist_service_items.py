"""The second half of the checklist, from the cloud on: change the evidence in the files, and the verdict changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklist_project import Change, Flip, both, replaced, without, write_whole_project, written

TESTS = ".github/workflows/tests.yaml"
API = "src/corn/api.py"
FLIPS: list[Flip] = [
    ("gcs", "partly", without("data.dvc"), "no data with a hash"),
    ("gcs", "missing", replaced(".dvc/config", "gs://corn-data", "/mnt/data"), "no `gs://` remote"),
    (
        "build-trigger",
        "partly",
        both(
            replaced("cloudbuild.yaml", "args: [build,", "args: [tag,"),
            replaced(TESTS, "docker/build-push-action@v6", "actions/checkout@v4"),
        ),
        "no step that builds",
    ),
    (
        "train-gcp",
        "partly",
        both(without("job.yaml"), written("train.sh", "gcloud ai custom-jobs create --config=x\n")),
        "train.sh",
    ),
    ("train-gcp", "missing", without("job.yaml"), "no job"),
    ("dist-data", "partly", without("reports/num_workers.png"), "no figures"),
    ("dist-data", "missing", replaced("src/corn/data.py", "num_workers=4", "num_workers=0"), "one process"),
    ("dist-train", "partly", without("lightning_logs/version_0/hparams.yaml"), "no run with more than one"),
    (
        "dist-train",
        "missing",
        replaced("src/corn/train.py", 'devices=2, strategy="ddp"', "devices=1"),
        "nothing trains in more",
    ),
    (
        "quantize",
        "partly",
        written("src/corn/small.py", "import torch\ntorch.ao.quantization.quantize_dynamic(1)\n"),
        "not recorded",
    ),
    ("compile", "partly", written("src/corn/fast.py", "import torch\ntorch.compile(1)\n"), "src/corn/fast.py:2"),
    ("api", "partly", replaced(API, "onnxruntime.InferenceSession", "print"), "no route loads a model"),
    ("api", "missing", without(API), "no app"),
    ("torchserve", "partly", without("models/config.properties"), "no archive with its config"),
    ("torchserve", "missing", without("models/config.properties", "models/net.mar"), "no archive"),
    (
        "onnx",
        "partly",
        both(
            replaced(API, "onnxruntime.InferenceSession", "print"),
            written("src/corn/export.py", "import torch\ntorch.onnx.export(1)\n"),
        ),
        "nothing serves it",
    ),
    ("onnx", "missing", replaced(API, "onnxruntime.InferenceSession", "print"), "no ONNX"),
    ("api-tests", "partly", replaced("tests/test_api.py", "assert ", ""), "nothing is asserted"),
    ("api-tests", "partly", without(TESTS), "no workflow runs them"),
    ("api-tests", "missing", without("tests/test_api.py"), "no test calls"),
    ("loadtest", "partly", replaced("tests/locustfile.py", "@task", ""), "what to ask"),
    ("loadtest", "missing", without("tests/locustfile.py"), "no load test"),
    ("frontend", "partly", replaced("src/corn/frontend.py", "requests.post", "print"), "calls no API"),
    ("frontend", "missing", without("src/corn/frontend.py"), "no page"),
    (
        "deploy-gcp",
        "partly",
        both(without("service.yaml", ".github/workflows/model.yaml"), written("deploy.sh", "gcloud run deploy corn\n")),
        "deploy.sh",
    ),
    ("deploy-gcp", "missing", without("service.yaml", ".github/workflows/model.yaml"), "no deployment"),
    ("collect-io", "partly", without("prediction_database.csv"), "no log"),
    ("collect-io", "missing", replaced(API, "tasks.add_task(print, x)", ""), "not kept"),
    ("drift", "partly", without("reports/drift.html"), "no report that is younger"),
    ("drift", "partly", written("models/net.ckpt", "trained again"), "no report that is younger"),
    ("drift", "partly", without("models/net.ckpt"), "no report that is younger"),
    ("drift", "missing", without("reports/drift.html", "src/corn/drift.py"), "no robustness"),
    (
        "drift-api",
        "missing",
        replaced(".github/workflows/drift.yaml", "schedule:", "workflow_dispatch:"),
        "no detector",
    ),
    (
        "drift-api",
        "partly",
        both(
            without(".github/workflows/drift.yaml"),
            written(
                "src/corn/watch.py",
                """
        from fastapi import FastAPI
        from corn.drift import check
        app = FastAPI()
        @app.get("/drift")
        def drift(): return check()
        """,
            ),
        ),
        "nothing deploys or schedules it",
    ),
    ("system-metrics", "partly", replaced(API, 'app.mount("/metrics", make_asgi_app())', ""), "nothing exposes them"),
    ("system-metrics", "missing", without(API), "no metrics"),
    (
        "system-monitor",
        "partly",
        both(without("prometheus.yml"), written("compose.yaml", "services: {p: {image: prom/prometheus}}\n")),
        "what is watched",
    ),
    ("system-monitor", "missing", without("prometheus.yml"), "no scrape"),
    ("model-monitor", "partly", written("src/corn/estimate.py", "import nannyml\n"), "no recent figures"),
    ("alerts", "partly", replaced("alerts.yml", "expr: up == 0", "for: 5m"), "no rule with a name and an expression"),
    ("alerts", "missing", without("alerts.yml"), "no rules"),
    ("docs", "partly", without("docs/index.md"), "names index.md, which is not there"),
    ("docs", "partly", both(without("mkdocs.yml")), "no site is built"),
    ("docs", "missing", both(without("mkdocs.yml", "docs/index.md", "README.md")), "no documentation"),
    (
        "docs-pages",
        "partly",
        both(without(".github/workflows/pages.yaml"), written("docs.sh", "mkdocs gh-deploy\n")),
        "nothing runs",
    ),
    ("docs-pages", "missing", without(".github/workflows/pages.yaml"), "nothing publishes"),
    (
        "diagram",
        "partly",
        both(written("README.md", "# Corn\n"), written("docs/architecture.png", "x")),
        "no page shows it",
    ),
    ("diagram", "missing", written("README.md", "# Corn\n"), "no picture"),
]


@pytest.mark.parametrize(
    ("item", "verdict", "change", "part"), FLIPS, ids=[f"{one[0]}-{one[1]}-{n}" for n, one in enumerate(FLIPS)]
)
def test_a_verdict_follows_from_the_evidence(
    tmp_path: Path, item: str, verdict: str, change: Change, part: str
) -> None:
    files = write_whole_project(tmp_path)
    change(files)
    found = files.judge(item)
    assert (found.verdict.value, part in found.evidence) == (verdict, True), found
