# The two commands: `make demo` and `make test`. Each makes the environment first; a second call installs nothing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help install demo test acceptance format lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv from the hashed lock

# uv itself comes first, by pip, checked against its own hashes in the lock. The stamp is written last,
# so an interrupted installation is taken up again.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^uv==/ {keep=1} keep {print} keep && !/\\$$/ {exit}' requirements.lock > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement .venv/uv.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## a catalogue, its pictures, a trained model and its scores, in ./workspace (8 to 14 minutes)
	$(BIN)/ec-descr-gen demo

test: $(STAMP) ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# One thread each: two processes whose threads wait for each other take ten times as long. What several tests need
	@# stands in fixtures of the session: a module's tests need not follow each other.
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not acceptance" -n 2 --dist worksteal $(PYTEST_FLAGS)

acceptance: $(STAMP) ## the long proofs (up to an hour)
	$(BIN)/pytest -m acceptance -v $(PYTEST_FLAGS)

format: $(STAMP) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## resolve pyproject.toml again into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --extra dev --extra dask --extra postgres --extra s3 pyproject.toml --output-file requirements.lock
