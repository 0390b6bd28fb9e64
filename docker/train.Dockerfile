# Every verb of mltool, on the CPU build of torch. From the root of the clone, and then in the folder of a project:
#   docker build --file docker/train.Dockerfile --tag mltool-train .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/project" mltool-train train epochs=1

FROM python:3.11-slim AS build
COPY . /clone
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /clone

FROM python:3.11-slim
# Any user may run it, so that what it writes into a project belongs to who started it.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LOGNAME=mltool

# PyPI's own build is for CUDA: `--build-arg TORCH_INDEX=https://pypi.org/simple` takes that one.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_VERSION=2.13.0
RUN pip install --no-cache-dir "torch==${TORCH_VERSION}" --extra-index-url "${TORCH_INDEX}"

COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl

WORKDIR /project
USER 10001
ENTRYPOINT ["mltool"]
CMD ["--help"]
