# Every verb works from a bare checkout with Python 3.11 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALL ?= $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check bench clean

demo: $(VENV)/.installed  ## index and search real text on the embedded engine, and verify every score
	$(BIN)/lateint demo

test: $(VENV)/.tested  ## all tests; those that need a server that cannot be found skip with a reason
	$(BIN)/pytest -n auto --dist worksteal  # neighbours share servers and indexes

check: $(VENV)/.tested  ## lint, types, import direction
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit/test_repository.py

bench: $(VENV)/.tested  ## the benchmarks, side by side with peers that are installed
	$(BIN)/python bench/maxsim.py
	$(BIN)/python bench/qdrant_wire.py
	$(BIN)/python bench/qdrant_ingest.py
	$(BIN)/python bench/qdrant_search.py
	$(BIN)/python bench/encode.py

clean:
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -c constraints.txt -e ".[all]"
	touch $@

$(VENV)/.tested: $(VENV)/.installed  # brings PyTorch: minutes and 5 GB on Linux, unless a build of it is installed already
	$(INSTALL) -c constraints.txt -e ".[all,test,check]"
	touch $@
