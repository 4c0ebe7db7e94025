# The commands that people and CI run. Everything goes into .venv; nothing needs root, a GPU or OpenGL.

# a Python that runs: of that name, of uv's, or of pyenv's (whose own name for it may run nothing)
PLACES = python$(1) $$(uv python find $(1) 2>/dev/null) $$HOME/.pyenv/versions/$(1).*/bin/python
find_python = $(or $(shell for one in $(PLACES); do "$$one" -c "" 2>/dev/null && echo "$$one" && break; done),python$(1))

PYTHON ?= python3
PYTHON_OLDEST ?= $(call find_python,3.11)
PYTHON_NEWEST ?= $(call find_python,3.13)
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
COMPILE := $(BIN)/uv pip compile --quiet --no-annotate --no-header --extra test pyproject.toml

.PHONY: demo check-demo test lint format fast coverage fuzz faults notebooks twice browser badges lab bench compat compat-oldest
.PHONY: compat-newest constraints dist ship agent language clean help docs links

help:
	@echo "make demo   record, train, play, report: runs/demo/report.html (about 6 minutes after installation)"
	@echo "make check-demo  the whole demo, with a floor for its scores"
	@echo "make test   everything that CI checks (about 15 minutes)"
	@echo "make fast   the tests that take seconds"
	@echo "make coverage  the tests once more, and which branches they run (about 40 minutes)"
	@echo "make fuzz   20,000 generated cases: any input at any door (about 10 minutes)"
	@echo "make faults kill -9 at 350 random moments: nothing is lost (hours)"
	@echo "make lint   style, types, imports, spelling and the layout's limits (under a minute)"
	@echo "make format   let ruff format the code and mend what it can"
	@echo "make lab    open the notebooks in JupyterLab"
	@echo "make notebooks  run every lesson, shortened, and compare its checked cells (about 3 minutes)"
	@echo "make twice  run every lesson, shortened, and then each of its cells again (about 10 minutes)"
	@echo "make docs   build the documentation into build/docs and check its links (about 2 minutes)"
	@echo "make bench  what the algorithms buy, as ratios"
	@echo "make compat the quick tests and the lessons with the oldest and newest supported versions"
	@echo "make dist   build and check the sdist and the wheel"
	@echo "make agent  jatlab-mini from nothing: a working day"

demo: $(VENV)/installed-demo
	$(BIN)/jatlab demo

# two processes of pytest, each with one thread: on two cores that is faster than one with two
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

# without nbval, which takes each process two seconds to load
CODE := --dist worksteal -p no:nbval

test: lint $(VENV)/installed-test
	$(PYTEST) $(CODE) -m "not release and not faults"
	@$(MAKE) notebooks
	$(BIN)/jatlab bench

fast: $(VENV)/installed-test
	$(PYTEST) $(CODE) -m "not slow"

# the whole demo, with the floor that the README's promise allows: before a release
check-demo: $(VENV)/installed-test
	$(BIN)/python -m pytest -m release

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/python -m scripts.check_layout

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# forty times the generated cases of `make test`: what any door says to any input
fuzz: $(VENV)/installed-test
	JATLAB_FUZZ=40 $(PYTEST) $(CODE) -p tests.support.fuzz_report -m fuzz

# which lines and branches the tests run, also in the processes that they start; build/coverage/index.html shows them
coverage: $(VENV)/installed-test
	rm -rf build/coverage
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest --numprocesses 2 --dist worksteal -m "not release and not faults"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report --fail-under 92

# kill -9 at fifty random moments of each kind of work
faults: $(VENV)/installed-test
	JATLAB_FAULTS=50 $(PYTEST) -m faults

# every lesson as a reader runs it, in its short form, without network; limits.py fails what takes over 3 minutes or 1.5 GB
LESSONS := -p tests.support.limits --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=180
notebooks: $(VENV)/installed-test
	JATLAB_SHORT=1 HF_HUB_OFFLINE=1 $(PYTEST) $(LESSONS) notebooks

# Run All, then every cell again from the last to the first, in one kernel
twice: $(VENV)/installed-test
	JATLAB_TWICE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/notebooks/test_rerun.py

# every lesson in JupyterLab and in Notebook 7 in headless Chromium (Debian: apt install chromium), by Run All; pictures of it in runs/browser
browser: $(VENV)/installed-test
	$(PIP) "notebook>=7"
	JATLAB_BROWSER=runs/browser $(BIN)/python -m pytest tests/browser

# for maintainers: badges, links and the tables of lessons, from the homepage in pyproject.toml
badges: $(VENV)/installed-test
	$(BIN)/python -m scripts.badges

# the site: warnings are errors, and every link within it must lead somewhere
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going docs build/docs
	$(BIN)/python -m scripts.docs.links build/docs

# the weekly workflow asks every external address; needs the network
links: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --builder linkcheck --keep-going docs build/links

lab: $(VENV)/installed-lab
	$(BIN)/jupyter lab notebooks

bench: $(VENV)/installed-demo
	$(BIN)/jatlab bench

$(VENV)/bin/python:
	@$(PYTHON) -c "" 2>/dev/null || { echo "$(PYTHON) does not run here: name another, as in make PYTHON=/path/to/python3.12 (for make compat: PYTHON_OLDEST, PYTHON_NEWEST)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "jatlab needs Python 3.11 to 3.13, not " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# torch first, at its pinned version: the other packages are content with whatever torch is there
$(VENV)/installed-torch: $(VENV)/bin/python $(CONSTRAINTS)
	$(PIP) torch
	@touch $@

# tools that build a release need neither torch nor jatlab
$(VENV)/installed-release: $(VENV)/bin/python $(CONSTRAINTS)
	$(PIP) build twine uv
	@touch $@

$(VENV)/installed-%: $(VENV)/installed-torch pyproject.toml $(CONSTRAINTS)
	$(PIP) --editable ".[$(EXTRAS_$*)]"
	@touch $@

EXTRAS_demo := envs,train
EXTRAS_test := test,lint
EXTRAS_lab := notebooks
EXTRAS_docs := docs
EXTRAS_all := all

# the oldest versions that pyproject.toml allows, and the newest of a day, each in its environment
compat: compat-oldest compat-newest

compat-oldest:
	JATLAB_GIGABYTES=2 $(MAKE) VENV=.venv-oldest PYTHON=$(PYTHON_OLDEST) CONSTRAINTS=constraints-oldest.txt EXTRAS_test=test fast notebooks

# PyPI's torch, with its libraries for CUDA, takes half a gigabyte more than a build for the CPU
compat-newest:
	JATLAB_GIGABYTES=2.5 $(MAKE) VENV=.venv-newest PYTHON=$(PYTHON_NEWEST) CONSTRAINTS=constraints-newest.txt EXTRAS_test=test fast notebooks

# for maintainers: write both constraint files anew
constraints: $(VENV)/installed-release
	$(COMPILE) --python-version 3.11 --resolution lowest-direct --output-file constraints-oldest.txt
	$(COMPILE) --python-version 3.13 --upgrade --output-file constraints-newest.txt

# what a release uploads, checked: the release workflow runs the same
dist: $(VENV)/installed-release
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m scripts.check_dist

# for maintainers: the finished demo's tables and pictures in docs
ship: demo
	$(BIN)/python -m scripts.ship demo

# jatlab-mini from nothing, in a working day: recordings, agent and report in runs/mini; stopped, the same command goes on
agent: $(VENV)/installed-demo
	$(BIN)/jatlab mini

# text and pictures in fifteen minutes of training, for the table in docs/results/language.md
language: $(VENV)/installed-demo
	$(BIN)/python -m scripts.language

clean:
	rm -rf $(VENV) runs
