# What a person types. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
SEED ?= 1
SEEDS ?= 1
WORKERS ?= 2
BIN := .venv/bin

.PHONY: setup demo lifelong pack test test-slow test-installed test-minerl smoke-minerl docker-lint docker-check lint constraints bench reproduce ablate results clean

setup: .venv/.done

# The versions are those that were tested (constraints.txt). torch comes first and alone, so that the machine's own build (CPU or CUDA)
# is taken and kept.
.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "torch>=2.9,<=2.13.0"
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch .venv/.done

demo: setup
	$(BIN)/h-dqn demo --seed $(SEED)

# One agent through ten tasks, then a page of its life; stopped, the same command goes on where it was. Evaluations are rarer and of
# fewer episodes than by default, so that it takes minutes less: no weights are picked by them, so that it learns the same.
lifelong: setup
	$(BIN)/h-dqn lifelong voxel10 --agent library --seed $(SEED) --measure-every 40000 --episodes 20 --end-episodes 50 --go-on

# Two processes, each with one thread (tests/__init__.py); tests that share something costly or single stay in one (tests/conftest.py).
# A process that dies ends the run: pytest-xdist would wait for ever for the tests of its group.
test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --max-worker-restart 0

test-slow: setup
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=3600

# The command line's tests on a wheel that was installed where nothing can be written.
test-installed: setup
	WORKERS=$(WORKERS) tests/installed.sh $(BIN)/python

# MineRL's Python part without Minecraft, and the tests of its adapter with it.
.venv/.minerl: .venv/.done envs/minerl/requirements.txt
	$(BIN)/pip install --quiet -r envs/minerl/requirements.txt
	READTHEDOCS=1 $(BIN)/pip install --quiet --no-deps minerl==0.4.4
	touch .venv/.minerl

test-minerl: .venv/.minerl
	$(BIN)/python -m pytest tests/test_minerl.py tests/test_minerl_serve.py

# For a machine with the real Minecraft (ADDRESS=host:port): plays one episode and writes down what was said.
smoke-minerl: .venv/.minerl
	$(BIN)/python -m tests.minerl_smoke $(ADDRESS)

# Dockerfile and compose files by hadolint and Docker Compose, which are fetched where they are missing.
docker-lint: setup
	$(BIN)/python -m tests.docker_check lint

# The same, and each target's steps in a root by debootstrap: needs root and Debian or Ubuntu, no Docker engine; minutes a target.
docker-check: setup
	$(BIN)/python -m tests.docker_check $(TARGETS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The newest versions that pyproject.toml allows, found in an environment of its own. Test what came of it before it is committed.
constraints:
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --upgrade pip
	build/constraints/bin/pip install --quiet "torch>=2.9,<=2.13.0"
	build/constraints/bin/pip install --quiet -e ".[bench,dev,explain,hub,ray]"
	{ echo "# Versions that were tested together; made by: make constraints"; \
	  build/constraints/bin/pip list --format=freeze --exclude-editable --exclude pip | sed 's/+.*//'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

bench: setup
	$(BIN)/pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/h-dqn bench world
	$(BIN)/h-dqn bench skills
	$(BIN)/h-dqn bench train

# Everything that the README reports of the paper, a run on each core; stopped, it goes on where it was.
reproduce: setup
	$(BIN)/python -m benchmarks.reproduce paper --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.plots

# The skills that are shipped, from fixed seeds; takes those of `make reproduce` where they are.
pack: setup
	$(BIN)/python -m benchmarks.pack

# What each improvement is worth; uses the skills of `make reproduce` with as many SEEDS.
ablate: setup
	$(BIN)/python -m benchmarks.reproduce ablations --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.reproduce distillation --seeds 1
	$(BIN)/python -m benchmarks.plots

results: setup
	$(BIN)/python -m benchmarks.tables

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
