# Every target installs what it needs into .venv. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
RUN := HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
SHARED := ../shared

.PHONY: help demo test test-corpora test-lowest lint format tables clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/demo.stamp  ## make a clip with a face and a voice-like sound, and say which emotion is in it
	@mkdir -p demo
	$(RUN) $(BIN)/python examples/make_demo_clip.py demo/clip.mp4
	$(RUN) $(BIN)/av-emotion predict demo/clip.mp4 --json

test: $(VENV)/dev.stamp  ## run the tests that need nothing but this checkout
	$(RUN) $(BIN)/python -m pytest -m "not corpora"

test-corpora: $(VENV)/dev.stamp  ## run the tests on the corpora and clips in ../shared
	$(RUN) TORCH_HOME=$(abspath $(SHARED))/weights/torch_home $(BIN)/python -m pytest -m corpora

# the environment of the tests, with these two in front of it
test-lowest: $(VENV)/dev.stamp  ## run the tests of the Hub with the lowest versions of transformers and huggingface_hub
	$(BIN)/python -m venv --clear --without-pip $(LOWEST)
	site=$$($(LOWEST)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	&& $(BIN)/pip install --quiet --no-deps --target $$site $$($(BIN)/python tools/lowest_versions.py) \
	&& $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$site/tests.pth
	$(RUN) PYTHONPATH=$(CURDIR)/src $(LOWEST)/bin/python -m pytest tests/hub

lint: $(VENV)/dev.stamp  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/dev.stamp  ## repair style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tables: $(VENV)/dev.stamp  ## write the tables of the READMEs and the card from the JSON files of the results
	$(BIN)/python examples/write_tables.py
	$(BIN)/python benchmarks/write_readme.py

clean:  ## remove the environment and what the demo made
	rm -rf $(VENV) $(LOWEST) demo

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
