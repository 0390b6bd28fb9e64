"""What distributions are called whose import name is another one."""

from __future__ import annotations

import re

DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "albumentations": ("albumentations", "albumentationsx"),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cairosvg": ("cairosvg",),
    "codecarbon": ("codecarbon",),
    "Crypto": ("pycryptodome",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "dateutil": ("python-dateutil",),
    "dotenv": ("python-dotenv",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "fitz": ("pymupdf",),
    "git": ("gitpython",),
    "googleapiclient": ("google-api-python-client",),
    "grpc": ("grpcio",),
    "hydra": ("hydra-core",),
    "hydra_plugins": ("hydra-optuna-sweeper", "hydra-joblib-launcher", "hydra-submitit-launcher", "hydra-colorlog"),
    "imblearn": ("imbalanced-learn",),
    "jwt": ("pyjwt",),
    "lightning_fabric": ("lightning-fabric", "lightning", "pytorch-lightning"),
    "lightning_utilities": ("lightning-utilities",),
    "magic": ("python-magic",),
    "mpl_toolkits": ("matplotlib",),
    "MySQLdb": ("mysqlclient",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml"),
    "OpenSSL": ("pyopenssl",),
    "PIL": ("pillow", "pillow-simd"),
    "pkg_resources": ("setuptools",),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "pylab": ("matplotlib",),
    "pytorch_lightning": ("pytorch-lightning",),
    "pytorch_metric_learning": ("pytorch-metric-learning",),
    "ray": ("ray",),
    "ruamel": ("ruamel-yaml",),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "skopt": ("scikit-optimize",),
    "slugify": ("python-slugify",),
    "socks": ("pysocks",),
    "sentence_transformers": ("sentence-transformers",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos"),
    "tensorrt": ("tensorrt", "nvidia-tensorrt"),
    "torch_geometric": ("torch-geometric",),
    "torchmetrics": ("torchmetrics",),
    "tqdm": ("tqdm",),
    "tritonclient": ("tritonclient",),
    "typing_extensions": ("typing-extensions",),
    "umap": ("umap-learn",),
    "usb": ("pyusb",),
    "wx": ("wxpython",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
    "_pytest": ("pytest",),
}
BROUGHT_ALONG = {
    "setuptools": ("",), "pip": ("",), "starlette": ("fastapi",), "pydantic": ("fastapi", "pydantic-settings"),
    "omegaconf": ("hydra-core",), "pluggy": ("pytest",), "click": ("typer", "flask"), "antlr4": ("hydra-core",),
    "werkzeug": ("flask",), "jinja2": ("flask",), "scipy": ("scikit-learn",), "numpy": (), "hydra": (),
    "lightning_fabric": ("lightning", "pytorch-lightning"),
    "IPython": ("ipykernel", "jupyter", "notebook", "jupyterlab"),
    "lightning_utilities": ("lightning", "pytorch-lightning"),
}  # fmt: skip
"""Imports that come with another distribution, and are documented as part of it."""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions_of(module: str) -> tuple[str, ...]:
    """The distributions that an import such as `google.cloud.storage` may come from, the likeliest first."""
    top, *rest = module.split(".")
    if top in ("google", "azure", "ruamel", "backports", "opentelemetry", "zope", "airflow", "nvidia") and rest:
        parts = [top, *rest]
        longest = tuple(normalized("-".join(parts[:n])) for n in range(min(len(parts), 4), 1, -1))
        return (*longest, "protobuf", "google-api-python-client", "google-auth") if top == "google" else longest
    known = DISTRIBUTIONS.get(top, ())
    return (*known, *(normalized(top),)) if not known or top in ("torch", "hydra_plugins") else known


def comes_with(module: str, declared: set[str]) -> bool:
    return any(other == "" or other in declared for other in BROUGHT_ALONG.get(module.partition(".")[0], ()))
