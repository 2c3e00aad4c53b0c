# Two commands: `make demo` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
comma := ,

.PHONY: help install install-dev demo unit test test-slow test-all fuzz test-lowest lowest audit browser docs reference lint format clean results wheel

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("untrain needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed  ## a virtual environment with untrain in it

install-dev: $(VENV)/.installed-dev  ## the same, with what development needs

demo: install  ## run the whole chain on the embedded default; prints where the report is
	$(BIN)/untrain demo

unit: install-dev  ## the tests that train nothing: about a minute on two cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m 'unit and not slow'

test: install-dev  ## the fast tests, a worker a core
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: install-dev  ## only the slow tests
	$(BIN)/python -m pytest -m slow

test-all: install-dev  ## every test
	$(BIN)/python -m pytest -m 'slow or not slow'

# Wherever torch has no CPU build on PyPI, UV_TORCH_BACKEND=cpu in front of it saves gigabytes.
LOWEST := .venv-lowest
EXTRAS := encoders,ray,gpus,diffusion,datasets,c2pa,serve,tracking,docs,test

test-lowest:  ## the fast tests with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -c constraints-lowest.txt -e '.[$(EXTRAS)]'
	$(LOWEST)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lowest:  ## constraints-lowest.txt anew, after a bound in pyproject.toml was changed
	uv pip compile --quiet pyproject.toml $(foreach extra,$(subst $(comma), ,$(EXTRAS)),--extra $(extra)) --resolution lowest-direct \
	  --python-version 3.11 --python-platform linux --no-annotate --upgrade --output-file constraints-lowest.txt

audit: install-dev  ## known vulnerabilities of what is installed, by pip-audit (asks PyPI)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --skip-editable

fuzz: install-dev  ## every reader on damaged samples, for SECONDS=600 from SEED=0; what is found is kept
	$(BIN)/python benchmarks/reliability/fuzz.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),0)

browser: install-dev  ## a browser for the tests of the report page, where the system has none
	command -v chromium chromium-browser google-chrome || $(BIN)/playwright install --with-deps chromium

results: install-dev  ## tables of the documents anew from the stored data, and whether pages are in step with it
	$(BIN)/python benchmarks/results.py

wheel: install-dev  ## wheel and sdist into dist/, tried and weighed in a clean environment
	$(BIN)/python benchmarks/distribution.py --out dist --json docs/results/wheel.json

docs: install-dev  ## the documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reference: install  ## what the code says into the pages of the reference
	$(BIN)/python docs/hooks.py

lint: install-dev  ## ruff and mypy
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: install-dev  ## let ruff put the code in order
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

clean:  ## remove what the targets made, but not the runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
