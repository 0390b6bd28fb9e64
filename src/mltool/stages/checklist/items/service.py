"""api, torchserve, onnx, frontend, system-metrics, collect-io: the model answers others."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.python_source import Module
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, not_applicable, partly

_APPS = (
    "fastapi.FastAPI", "flask.Flask", "litserve.LitServer", "starlette.applications.Starlette", "fastapi.APIRouter",
    "litestar.Litestar", "quart.Quart", "sanic.Sanic", "ray.serve.deployment", "bentoml.Service",
)  # fmt: skip
_ROUTES = (
    ".get",
    ".post",
    ".put",
    ".route",
    ".websocket",
    ".api",
    "bentoml.service",
    "functions_framework.http",
    "ray.serve.deployment",
)
_LOADS = (
    "torch.load", "*.load_state_dict", "*.load_from_checkpoint", "onnxruntime.InferenceSession", "joblib.load",
    "pickle.load", "pickle.loads", "*.from_pretrained", "transformers.pipeline", "mltool.load", "torch.jit.load",
    "*.load_model", "timm.create_model", "safetensors.torch.load_file", "xgboost.Booster", "*.use_artifact",
    "torch.hub.load", "bentoml.*.load_model", "bentoml.models.get",
)  # fmt: skip
_SERVERS = ("bentoml.*", "tritonclient.*", "litserve.LitServer", "ray.serve.run", "vllm.LLM")
_PAGES = ("streamlit.*", "gradio.Interface", "gradio.Blocks", "gradio.ChatInterface", "dash.Dash", "nicegui.ui.*")
_CALLS = (
    "requests.post",
    "requests.get",
    "requests.request",
    "httpx.post",
    "httpx.get",
    "*.AsyncClient.post",
    "httpx.Client.post",
    "aiohttp.*",
    "gradio_client.Client",
    "requests.Session.post",
)

_WRITES = (
    "*.upload_from_string", "*.upload_from_filename", "*.add_task", "*.insert_rows_json", "*.writerow", "*.to_csv",
    "sqlite3.connect", "*.insert_one",
)  # fmt: skip


@judges("api")
def api(evidence: Evidence) -> Finding:
    answered = evidence.recorded.answered()
    if answered:
        return done(f"mltool deployed {listed(answered)}")
    apps = _apps(evidence)
    if not apps:
        return missing("no app and no deployment")
    code = evidence.code
    for module, _ in apps:
        loads = code.where_called(*_LOADS, among=code.reached_from(module))
        routes = _routes(module)
        if loads and routes:
            return done(f"route at {listed(routes)}", f"the model is loaded at {listed(loads)}")
    routes = [place for module, _ in apps for place in _routes(module)]
    return partly(f"app at {listed([place for _, place in apps])}", "no route loads a model" if routes else "no route")


def _apps(evidence: Evidence) -> list[tuple[Module, str]]:
    found = {module.path: (module, module.at(call.line)) for module, call in evidence.code.calls(*_APPS)}
    for module in evidence.code.working:
        for function in module.functions:
            if any(one.name == "functions_framework.http" for one in function.decorators):
                found.setdefault(module.path, (module, module.at(function.line)))
    for module, one in evidence.code.classes("litserve.LitAPI"):
        found.setdefault(module.path, (module, module.at(one.line)))
    return list(found.values())


def _routes(module: Module) -> list[str]:
    places = [module.at(f.line) for f in module.functions if any(one.name.endswith(_ROUTES) for one in f.decorators)]
    places += [module.at(one.line) for one in module.classes if any(base.endswith("LitAPI") for base in one.bases)]
    return places + [
        module.at(call.line)
        for call in module.calls
        if call.name.endswith((".add_api_route", ".add_url_rule", "routing.Route"))
    ]


@judges("torchserve")
def torchserve(evidence: Evidence) -> Finding:
    answered = evidence.recorded.answered("torchserve")
    if answered:
        return done(f"mltool deployed {listed(answered)}")
    project = evidence.project
    archives = [path for path in project.files if path.endswith((".mar", ".mar.dvc"))]
    configs = [
        path
        for path in project.named("config.properties")
        if "inference_address" in project.text(path) or "model_store" in project.text(path)
    ]
    if archives and configs:
        return done(f"archive {listed(archives)}", f"config {listed(configs)}")
    handlers = [
        f"`{one.name}` ({module.at(one.line)})"
        for module, one in evidence.code.classes("ts.torch_handler.base_handler.BaseHandler")
    ]
    scripts = [
        path
        for path in (*project.with_suffix(".sh"), *project.named("Makefile", "Dockerfile*", "*.dockerfile"))
        if re.search(r"torch-model-archiver|\btorchserve\b", project.text(path))
    ]
    local = evidence.recorded.answered("local")
    found = [*archives, *configs, *handlers, *scripts]
    if found or local:
        facts = (
            listed(found)
            if found
            else f"mltool deployed {listed(local)}, without TorchServe, which is not maintained any more"
        )
        return partly(facts, "no archive with its config, and no deployment that answered" if found else "")
    if evidence.learning.is_of_another_kind:
        return not_applicable("TorchServe serves networks of PyTorch")
    return missing("no archive, no config, no deployment")


@judges("onnx")
def onnx(evidence: Evidence) -> Finding:
    code, project = evidence.code, evidence.project
    recorded = evidence.recorded.answered()
    if recorded:
        return done(f"mltool serves the ONNX graph: {listed(recorded)}")
    served = [one for module, _ in _apps(evidence) for one in code.reached_from(module)]
    used = code.where_called("onnxruntime.InferenceSession", "openvino.Core", among=served)
    used += code.where_called(*_SERVERS)
    used += [
        module.at(f.line)
        for module in code.working
        for f in module.functions
        if any(one.name.startswith("bentoml.") for one in f.decorators)
    ]
    used += [path for path in project.named("config.pbtxt", "bentofile.yaml") if project.text(path).strip()]
    graphs = [path for path in project.files if path.endswith((".onnx", ".onnx.dvc"))]
    exported = code.where_called("torch.onnx.export", "torch.onnx.dynamo_export", "*.to_onnx", "skl2onnx.*")
    exported += code.where_called("onnxruntime.InferenceSession", "openvino.Core")
    models = evidence.recorded.models
    if used:
        return done(f"in use at {listed(used)}", f"graph {listed(graphs)}" if graphs else "")
    if exported or graphs or models:
        facts = (
            f"exported or run at {listed(exported)}"
            if exported
            else f"graph {listed(graphs)}"
            if graphs
            else f"the graph of {counted(len(models), 'model')} in `.mltool`"
        )
        return partly(facts, "nothing serves it")
    return missing("no ONNX, no ML server")


@judges("frontend")
def frontend(evidence: Evidence) -> Finding:
    answered = evidence.recorded.answered()
    if answered:
        return done(f"the page of mltool's server: {listed(answered)}")
    code, project = evidence.code, evidence.project
    pages = {module.path: (module, module.at(call.line)) for module, call in code.calls(*_PAGES)}
    calling = [place for module, place in pages.values() if code.where_called(*_CALLS, among=code.reached_from(module))]
    files = [
        path
        for path in project.with_suffix(".html", ".js", ".tsx", ".ts", ".jsx", ".vue")
        if not path.startswith(("docs/", "site/", "reports/"))
    ]
    fetching = [
        path
        for path in files
        if re.search(r"\bfetch\(|axios|<form[^>]{1,500}action=|XMLHttpRequest", project.text(path))
    ]
    if calling or fetching:
        return done(f"the API is called at {listed([*calling, *fetching])}")
    if pages:
        return partly(f"page at {listed([place for _, place in pages.values()])}", "it calls no API")
    return missing("no page calls an API")


@judges("system-metrics")
def system_metrics(evidence: Evidence) -> Finding:
    answered = evidence.recorded.answered()
    if answered:
        return done(f"`/metrics` of mltool's server: {listed(answered)}")
    code = evidence.code
    exposed = code.where_called(
        "prometheus_client.make_asgi_app",
        "prometheus_client.make_wsgi_app",
        "prometheus_client.start_http_server",
        "prometheus_client.generate_latest",
        "*.Instrumentator",
        "*.PrometheusMetrics",
        "*.Instrumentator.expose",
        "opentelemetry.*",
        "*.instrument_app",
    )
    own = code.where_called(
        "prometheus_client.Counter",
        "prometheus_client.Histogram",
        "prometheus_client.Gauge",
        "prometheus_client.Summary",
    )
    if exposed:
        return done(f"exposed at {listed(exposed)}", f"{counted(len(own), 'metric')} of its own" if own else "")
    return partly(f"metrics at {listed(own)}", "nothing exposes them") if own else missing("no metrics")


@judges("collect-io")
def collect_io(evidence: Evidence) -> Finding:
    logs = [file.path for file in evidence.project.recorded(r"deployments/[^/]+/predictions/.+") if file.size_bytes]
    if logs:
        return done(f"prediction log {listed(logs)}")
    code = evidence.code
    reached = [one for module, _ in _apps(evidence) for one in code.reached_from(module)]
    writing = code.where_called(*_WRITES, among=reached)
    kept = [
        path
        for path in evidence.project.files
        if re.search(r"(prediction|inference|request)\w*(_database|_log|s)?\.(csv|jsonl|db|sqlite3?|parquet)$", path)
        and not path.startswith("tests/")
    ]
    if writing and kept:
        return done(f"written at {listed(writing)}", f"log {listed(kept)}")
    return (
        partly(f"the app writes at {listed(writing)}", "no log of predictions is here")
        if writing
        else missing("inputs and outputs are not kept")
    )
