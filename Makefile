# Two commands from a fresh clone: `make nightly` and `make test`. They need Python 3.11-3.13 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# more than cores: tests wait for servers
WORKERS ?= 3

.PHONY: setup nightly airflow collect test lint types docker-lint ci bench lock clean

# The night on the embedded default: SQLite, the payer in a box, the sample extract, run by the Airflow DAGs.
nightly: setup
	$(BIN)/claimpipe nightly --airflow

# Airflow's own pages with the four DAGs in them, on the embedded default.
airflow: setup
	$(BIN)/claimpipe airflow

setup: $(VENV)/.installed

$(VENV)/.installed: requirements/lock.txt requirements/bootstrap.txt pyproject.toml hatch_build.py pipeline/x12/kernel.c
	$(PYTHON) -c 'import sys; sys.exit("claimpipe needs Python 3.11, 3.12 or 3.13; say for example: make PYTHON=python3.12" if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python hatch_build.py
	@touch $@

test: setup
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# Every module of tests can be imported. What pytest makes of each is kept, and no worker of `test` makes it again.
collect: setup
	$(BIN)/pytest --collect-only -qq

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# Needs docker-compose (Debian's package); checks the production shape without running it.
docker-lint: setup
	$(BIN)/hadolint docker/Dockerfile
	POSTGRES_PASSWORD=x REDIS_PASSWORD=x FERNET_KEY=x JWT_SECRET=x docker-compose -f docker/compose.yaml config -q

ci: lint types docker-lint collect test

bench: setup
	$(BIN)/python tests/benchmarks

lock:
	$(BIN)/uv pip compile pyproject.toml --group pyproject.toml:dev --extra production --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements/lock.txt

clean:
	rm -rf $(VENV) .claimpipe .pytest_cache .mypy_cache .ruff_cache .hypothesis
