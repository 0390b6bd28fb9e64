"""Run a model: numpy in and numpy out, whatever runs it."""

import os

# Unless it is told otherwise before it is imported, ONNX Runtime reports what is run to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
