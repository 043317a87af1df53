# Every verb works from a bare checkout with Python 3.11 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test check bench clean

demo: $(VENV)/.installed  ## index and search real text on the embedded engine, and verify every score
	$(BIN)/lateint demo

test: $(VENV)/.installed  ## all tests; those that need a server that cannot be found skip with a reason
	$(BIN)/pytest -n auto

check: $(VENV)/.installed  ## lint, types, import direction
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit/test_repository.py

bench: $(VENV)/.installed  ## the benchmarks, side by side with peers that are installed
	$(BIN)/python bench/maxsim.py
	$(BIN)/python bench/qdrant_wire.py
	$(BIN)/python bench/qdrant_ingest.py
	$(BIN)/python bench/qdrant_search.py

clean:
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,test,check]"
	touch $@
