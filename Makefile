# `make demo` and `make test` do everything on a fresh machine that has Python 3.11 or 3.12 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
# A test process per core, with one thread each, and one more, since tests wait for children, browsers and time limits.
# The tests of a file share a process.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(shell expr $(CORES) + 1) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := .venv/installed
.PHONY: help demo quick test check style test-install test-paper faults bench clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/installed: pyproject.toml constraints.txt
	@case "$$(pwd)" in *[:{}]*) echo "the folder $$(pwd) has a colon or a brace in its path, which Python environments and Snakemake cannot take: rename it, or clone elsewhere"; exit 1;; esac
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"SignRep needs Python 3.11 or 3.12, found {v[0]}.{v[1]} at {sys.executable}: run make with PYTHON=/path/to/python3.11")'
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/installed  ## Run the whole workflow on rendered signers
	$(BIN)/python -m snakemake --cores $(CORES)

quick: style  ## Linters, types and the quick unit tests: about 3 minutes on two cores
	$(call beside_checks,$(PYTEST) -q -m "not slow and not install and not paper" --ignore tests/workflow --ignore tests/faults)

test: style  ## Linters, types and all tests: about 13 minutes on two cores
	$(call beside_checks,$(PYTEST))

check: style  ## Linters and types alone
	$(CHECKS)

style: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules

CHECKS := $(BIN)/snakemake --lint && $(BIN)/lint-imports && $(BIN)/mypy

# Run tests beside the checks that take a minute; at the end, show the last line of those, or all where they fail.
define beside_checks
@found=$$(mktemp); trap 'rm -f "$$found"' EXIT; { $(CHECKS); } >"$$found" 2>&1 & \
echo '$(1)'; $(1); tests=$$?; if wait $$!; then tail -n 1 "$$found"; else cat "$$found"; tests=1; fi; exit $$tests
endef

test-install: .venv/installed  ## Install the core's wheel alone into a fresh environment and train there (downloads)
	$(BIN)/python -m pytest -m install tests/test_install.py

test-paper: .venv/installed  ## The paper's run on clips of its seven data sets, two steps a training (12 minutes)
	$(BIN)/python -m pytest -m paper tests/workflow/test_paper.py

faults: .venv/installed  ## Kill, starve and stop every stage, and write docs/reliability.md (an hour)
	$(BIN)/python -m tests.faults --kills 100 --write docs/reliability.md

bench: .venv/installed  ## Measure speed, memory and accuracy
	$(BIN)/python -m benchmarks

clean:  ## Remove the demo's results
	rm -rf results .snakemake
