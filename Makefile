# Every target sets up .venv and installs what it needs there. It takes Python 3.11 or newer and its pip, no more;
# PYTHON chooses the interpreter, JOBS how many processes run the tests.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
RUN := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
PYTEST := $(BIN)/python -m pytest -n $(JOBS)
SHARED := ../shared

.PHONY: help demo docs figures check test test-lowest test-corpora coverage lint types format build tables clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/demo.stamp  ## make a clip with a face and a voice-like sound, predict its emotion, and write its report
	@mkdir -p demo
	$(RUN) $(BIN)/python examples/make_demo_clip.py demo/clip.mp4
	$(RUN) $(BIN)/av-emotion predict demo/clip.mp4 --json
	$(RUN) $(BIN)/av-emotion timeline demo/clip.mp4 --out demo --overwrite

check: lint types  ## lint, types and the fast tests: before every commit
	$(RUN) $(PYTEST) -m "not corpora and not slow"

test: $(VENV)/dev.stamp  ## run all tests that need nothing but this checkout
	$(RUN) $(PYTEST) -m "not corpora"

test-corpora: $(VENV)/dev.stamp  ## run the tests on the corpora and clips in ../shared
	$(RUN) TORCH_HOME=$(abspath $(SHARED))/weights/torch_home $(BIN)/python -m pytest -m corpora

# the environment of the tests with the lowest versions in front of it, so that torch is not downloaded again
test-lowest: $(VENV)/dev.stamp  ## run tests of Hub, data, commands, export with the lowest versions that are allowed
	$(BIN)/python -m venv --clear --without-pip $(LOWEST)
	site=$$($(LOWEST)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	&& $(BIN)/pip install --quiet --no-deps --target $$site $$($(BIN)/python tools/lowest_versions.py) \
	&& $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$site/tests.pth
	$(RUN) PYTHONPATH=$(CURDIR)/src $(LOWEST)/bin/python -m pytest -n $(JOBS) -m "not corpora" \
		-W default tests/hub tests/data tests/cli tests/inference  # old versions warn of other things

docs: $(VENV)/dev.stamp  ## build the site into site/; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

coverage: $(VENV)/dev.stamp  ## run all tests and list the lines that none of them reaches
	$(RUN) $(PYTEST) -m "not corpora" --cov --cov-report term-missing:skip-covered

lint: $(VENV)/dev.stamp  ## check style, format, spelling and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell src tests examples benchmarks modeling_cards docs *.md
	$(BIN)/deptry src

types: $(VENV)/dev.stamp  ## check types
	$(BIN)/mypy

format: $(VENV)/dev.stamp  ## fix style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: $(VENV)/dev.stamp  ## build wheel and sdist, and predict with the wheel where no checkout is
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tools/try_wheel.py dist/*.whl

tables: $(VENV)/dev.stamp  ## write the tables of results and cards from the JSON files, and the list of commands
	$(BIN)/python examples/write_tables.py
	$(BIN)/python benchmarks/write_readme.py
	$(BIN)/python docs/write_commands.py

figures: $(VENV)/dev.stamp  ## draw the picture of the README from the demo clip
	$(RUN) $(BIN)/python examples/make_figures.py docs/images

clean:  ## remove the environments, what was built and what the demo made
	rm -rf $(VENV) $(LOWEST) dist demo site

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/demo.stamp: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@
