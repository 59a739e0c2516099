# `make demo` shows the main job, `make test` passes the suite; both make their own environment in .venv.
VENV ?= .venv

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := $(VENV)/Scripts
SEP := ;
else
PYTHON ?= python3
BIN := $(VENV)/bin
SEP := :
endif
PY = $(BIN)/python
# modules are compiled when they are imported: most of them never are, and all would take two minutes
PIP = --quiet --disable-pip-version-check --no-compile
WHEELS = $(wildcard plugins/*/pyproject.toml)

.PHONY: help env demo test check slow conda docs snakemake clean

help:
	@echo "make env     an environment with Benchdog, its plugins and the tools, in $(VENV)"
	@echo "make demo    train, evaluate, predict, export: a model from raw data to deployment"
	@echo "make test    the fast tests"
	@echo "make check   style, types, layers, whole files"
	@echo "make slow    the slow tests: builds, a browser, notebooks, killed runs"
	@echo "make conda   build, install and use the conda packages, and show the log (Linux)"
	@echo "make docs    the documentation as a site, in site/"
	@echo "make clean   remove what these made"

env: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt requirements.txt requirements-dev.txt $(WHEELS)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install $(PIP) -r requirements-dev.txt -c constraints.txt
	@$(PY) -c "import pathlib; pathlib.Path('$@').touch()"

demo: env
	$(PY) scripts/demo.py

# two test processes with a thread each are quicker than one with two; each goes through whole files, which share runs
test slow: export OMP_NUM_THREADS := 1
test: env
	$(PY) -m pytest -q -n auto --maxprocesses 4 --dist worksteal

# a file's tests share what they built, so a file goes to one process; the longest first: tests/conftest.py
slow: env snakemake
	$(PY) -m pytest -q -m slow -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 15

# in an environment of its own: it asks for older packages than the tools here
snakemake: $(VENV)/snakemake/.ready

$(VENV)/snakemake/.ready: $(VENV)/.ready
	$(PYTHON) -m venv $(VENV)/snakemake
	$(VENV)/snakemake/$(notdir $(BIN))/python -m pip install $(PIP) snakemake==9.27.1
	@$(PY) -c "import pathlib; pathlib.Path('$@').touch()"

conda: env
	$(PY) -m pytest -q -s -m slow tests/packaging/test_conda.py

docs: export NO_MKDOCS_2_WARNING := 1
docs: env
	$(PY) -m mkdocs build --strict --clean

check: export PATH := $(abspath $(BIN))$(SEP)$(PATH)
check: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(BIN)/lint-imports --no-cache
	$(PY) -m pre_commit run --all-files

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('$(VENV)', 'build', 'dist', 'site')]"
