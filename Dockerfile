# lpclip with the versions of constraints.txt, for the CPU or, on linux/amd64, for CUDA:
#
#   docker build --tag lpclip .
#   docker build --tag lpclip:cuda --build-arg VARIANT=cuda .
#
# A project is mounted at /project, and its files belong to whoever runs the container:
#
#   docker run --rm -it --user "$(id -u):$(id -g)" --volume "$PWD:/project" lpclip lpclip init .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/project" lpclip \
#       snakemake --cores 8 results/report.csv results/report.html
#
# For CUDA add --gpus all, which needs NVIDIA's container toolkit on the host.
# Checked by a linter (hadolint) and by tests/test_public_home.py only: not built so far.
ARG PYTHON=3.11
ARG VARIANT=cpu

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE Snakefile config.yaml environment.yml ./
COPY configs configs
COPY profiles profiles
COPY workflow workflow
COPY lpclip lpclip
COPY snakemake_logger_plugin_lpclip snakemake_logger_plugin_lpclip
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS variant-cpu
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

FROM python:${PYTHON}-slim AS variant-cuda
# PyTorch's wheels hold the libraries of CUDA; the driver comes from the host.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# hadolint ignore=DL3006
FROM variant-${VARIANT}
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt /wheels/*.whl \
    && useradd --uid 1000 --create-home lpclip \
    # of any user: models are downloaded into it
    && chmod 1777 /home/lpclip
ENV HOME=/home/lpclip USER=lpclip
USER 1000
WORKDIR /project
CMD ["lpclip", "--help"]
