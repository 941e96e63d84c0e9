# Two commands do everything on a bare machine with Python >= 3.11:
#   make compare    compares methods on built-in data and writes a report
#   make test       checks everything
# Variables: VENV=dir  PYTHON=/path/to/python  ARGS="--data digits"  PIP_ARGS="--index-url ..."

VENV ?= .venv
PYTHON ?=
PYTHONS := python3 python3.13 python3.12 python3.11 python3.14 python
ARGS ?=
PIP_ARGS ?=
MAPPED := $(subst _,-,$(filter-out _%,$(notdir $(basename $(wildcard tests/golden_cases/*.py)))))
GOLDENS ?= $(wildcard $(MAPPED:%=../shared/goldens/%.json))
SEEDS ?= 3
IMAGE_RESULTS ?= build/claims

BIN := $(VENV)/bin
IMAGE_CLAIMS := temperature dcl cacr amcl isogclr groco feature-transformation mochi \
  projection-head hydra pixpro genview adainf scatsimclr mlcd beclr
CLAIMS = $(subst _,-,$(filter-out _%,$(notdir $(basename $(wildcard src/counterpoint/claims/*.py)))))

.DEFAULT_GOAL := help
.PHONY: help compare test lint goldens pytest docs bench claims claims-image clean

help:
	@echo "make compare       install, then find out which method embeds the built-in data best"
	@echo "make test          install, then lint, check types, goldens and tests"
	@echo "make docs          build the documentation into site/"
	@echo "make bench         measure speed and memory against the bare matrix products and peers"
	@echo "make claims        test the papers' claims again (SEEDS=3)"
	@echo "make claims-image  test those of the image systems, into $(IMAGE_RESULTS)"
	@echo "make clean         remove what the above built"

compare: $(VENV)/.app
	$(BIN)/counterpoint compare $(ARGS)

test: lint goldens pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

goldens: $(VENV)/.test
	$(if $(GOLDENS),$(BIN)/python tests/goldens.py $(GOLDENS),@echo "No golden files at hand: GOLDENS='files' names them.")

pytest: $(VENV)/.test
	$(BIN)/python -m pytest -q $(ARGS)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is in site/."

bench: $(VENV)/.test
	@mkdir -p benchmarks/results build
	$(BIN)/python benchmarks/objectives.py --json > build/objectives.json
	$(BIN)/python benchmarks/training.py > build/training.txt
	mv build/objectives.json build/training.txt benchmarks/results/
	@cat benchmarks/results/objectives.json benchmarks/results/training.txt

claims: $(VENV)/.claims
	for id in $(CLAIMS); do $(BIN)/counterpoint claim $$id --seeds $(SEEDS) --out claims/results || exit; done

claims-image: $(VENV)/.claims
	@mkdir -p $(IMAGE_RESULTS)
	@number=0; for id in $(IMAGE_CLAIMS); do \
	  number=$$((number + 1)); echo "Claim $$number of $(words $(IMAGE_CLAIMS)): $$id"; \
	  $(BIN)/counterpoint claim $$id --seeds $(SEEDS) --out $(IMAGE_RESULTS) || exit; done
	@echo; echo "Verdicts by $(SEEDS) seeds, written to $(IMAGE_RESULTS):"
	@for id in $(IMAGE_CLAIMS); do awk -F '": "?|"?,$$' -v id=$$id \
	  '/^ "verdict"/ { v = $$2 } /^ "minutes"/ { m = $$2 } \
	  END { printf "%-23s %-12s %5.1f minutes\n", id, v, m }' $(IMAGE_RESULTS)/$$id.json; done

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.app: EXTRAS := app
$(VENV)/.claims: EXTRAS := app,diffusion
$(VENV)/.test: EXTRAS := app,diffusion,scale,dev,peers,docs
$(VENV)/.docs: EXTRAS := app,docs

$(VENV)/.app $(VENV)/.claims $(VENV)/.test $(VENV)/.docs: $(BIN)/python pyproject.toml
	@echo "Installing counterpoint[$(EXTRAS)] into $(VENV); the first time takes a few minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[$(EXTRAS)]'
	@touch $@

$(BIN)/python:
	@python=; for each in $(or $(PYTHON),$(PYTHONS)); do \
	  if "$$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    >/dev/null 2>&1; then python="$$each"; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "counterpoint needs Python 3.11 or newer with its venv module, and found none." >&2; \
	  echo "Tried: $(or $(PYTHON),$(PYTHONS))." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python)," >&2; \
	  echo "or name yours: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; fi; \
	echo "Making $(VENV) with $$("$$python" --version)."; "$$python" -m venv $(VENV)
