# Each target is enough by itself on a fresh clone: it needs Python 3.11 and make, nothing else.
PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check bench screenshots lock assets clean

run: $(STAMP) assets
	@$(BIN)/partnerhub run --demo $(ARGS)

test: $(STAMP) assets
	@$(BIN)/python -m tests.browser_needed
	@$(BIN)/pytest -n auto --dist loadgroup $(ARGS)

check: $(STAMP) assets
	@$(BIN)/ruff format --check src tests bench
	@$(BIN)/ruff check src tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m partnerhub.web.access_check partnerhub.app.operations:list_operations

bench: $(STAMP) assets
	@$(BIN)/python -m bench $(ARGS)

screenshots: $(STAMP) assets
	@$(BIN)/python -m tests.browser_needed
	@$(BIN)/python -m tests.screenshots $(ARGS)

assets: $(STAMP)
	@$(BIN)/python -m partnerhub.ui.build

lock: $(STAMP)
	@echo uv | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --quiet --output-file requirements/uv.lock
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --quiet --output-file requirements/run.lock
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --quiet --output-file requirements/dev.lock

$(STAMP): requirements/dev.lock requirements/uv.lock pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@# uv takes seconds where pip takes minutes; where it cannot reach the index that pip is set up for, pip does it.
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.lock 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# Also where the environment forbids Python to keep bytecode: every process would compile everything again.
	@$(BIN)/python -m compileall -q src/partnerhub
	@touch $(STAMP)

clean:
	rm -rf $(VENV) .partnerhub src/partnerhub/ui/static
