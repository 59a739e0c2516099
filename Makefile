# `make demo` shows the main job, `make test` passes the suite; both make their own environment in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: env test check

env: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

test: env
	$(BIN)/python -m pytest -q

check: env
	$(BIN)/ruff check src tests plugins
	$(BIN)/mypy src
