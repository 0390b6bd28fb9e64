# Serves the model that is mounted at /model, with ONNX Runtime and without torch. From the root of the clone:
#   docker build --file docker/serve.Dockerfile --tag mltool-serve .
#   docker run --rm --publish 8000:8000 --volume "$PWD/.mltool/artifacts/DIGEST:/model:ro" mltool-serve
# `mltool deploy docker REF` makes an image that has its model inside.

FROM python:3.11-slim AS build
COPY . /clone
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /clone

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/home/serve

# All that the server imports, and nothing of what that would bring along.
COPY docker/serve.txt /opt/serve.txt
RUN pip install --no-cache-dir --no-compile --no-deps --requirement /opt/serve.txt

COPY --from=build /wheels /wheels
# What is imported at the start is compiled once, here: the server may not write beside it.
RUN pip install --no-cache-dir --no-compile --no-deps /wheels/*.whl \
    && PYTHONDONTWRITEBYTECODE='' python -c "import mltool.serving.app, mltool.serving.server, mltool.serving.worker, onnxruntime, PIL.Image, simplejpeg" \
    && install --directory --owner=10001 --group=10001 /home/serve

WORKDIR /home/serve
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=4); c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "mltool.stages.serve", "/model", "host=0.0.0.0", "port=8000"]
