# What a person types. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
SEED ?= 1
BIN := .venv/bin

.PHONY: setup demo test test-slow lint bench results clean

setup: .venv/.done

# torch comes first and alone, so that the machine's own build (CPU or CUDA) is taken and kept.
.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "torch>=2.9,<=2.13.0"
	$(BIN)/pip install --quiet -e ".[dev]"
	touch .venv/.done

demo: setup
	$(BIN)/h-dqn demo --seed $(SEED)

test: setup
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/pip install --quiet -e ".[bench]"
	$(BIN)/h-dqn bench world

results: setup
	$(BIN)/python benchmarks/tables.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
