# The lessons in JupyterLab, with torch for CPUs:
#   docker build --tag jatlab .
#   docker run --rm --publish 127.0.0.1:8888:8888 jatlab
# and open the address that it prints. A command in place of JupyterLab:
#   docker run --rm --volume "$PWD:/home/jatlab/work" --workdir /home/jatlab/work jatlab jatlab demo
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 jatlab
WORKDIR /home/jatlab/lab

# torch first: this layer is built anew only when the pins change
COPY constraints.txt ./
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu --constraint constraints.txt torch

COPY pyproject.toml README.md LICENSE ./
COPY jatlab jatlab
RUN pip install --constraint constraints.txt ".[envs,train,notebooks]" && rm -rf build jatlab *.egg-info

COPY --chown=jatlab notebooks notebooks
RUN chown jatlab /home/jatlab/lab
USER jatlab

EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--notebook-dir=notebooks"]
