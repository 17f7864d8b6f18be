# All tasks of the project. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
# No progress bars in logs.
export UV_NO_PROGRESS := 1
# Some CI runners have no HOME; kubectl and helm would then write their caches into the clone.
export HOME := $(or $(HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6))
# Also on machines that set PYTHONDONTWRITEBYTECODE: otherwise each process of the checks compiles thousands of modules.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache
ARGS ?=
# The time at which make starts.
STARTED := $(shell date +%s)
COVERAGE ?=
EXAMPLES ?=

.PHONY: help
help: ## List every task
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: ## Install the pinned Python packages into .venv
	@dev/bootstrap

# For tasks that need the local cluster: fail before anything is installed if the machine cannot run it.
.PHONY: machine
machine:
	@dev/bootstrap --cluster

.PHONY: check
check: venv ## Format, lint, types, layers, generated files, words, unit tests and attacks
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going $(STATIC_CHECKS)
	$(PYTHON) -m pytest tests/unit tests/loop tests/security -q --numprocesses=auto --dist=worksteal $(EXAMPLES) $(COVERAGE) $(ARGS)
	@echo "make check took $$(($$(date +%s) - $(STARTED))) s"

# Two run at a time, and the output of each is printed when it ends. The longest is the first.
STATIC_CHECKS := check-types check-format check-lint check-layers check-generated
.PHONY: $(STATIC_CHECKS)
check-types:
	.venv/bin/mypy
check-format:
	.venv/bin/ruff format --check .
check-lint:
	.venv/bin/ruff check .
check-layers:
	.venv/bin/lint-imports --no-cache
check-generated:
	$(PYTHON) charts/generate.py --check
	$(PYTHON) docs/generate.py --check

# Not part of `make check`: it takes up to an hour.
.PHONY: bench-verdict
bench-verdict: venv ## Measure how often live verdicts are wrong, and write build/bench/verdict.json; ARGS="--runs 100": faster
	$(PYTHON) bench/verdict_error_rates.py --report build/bench/verdict.json $(ARGS)

# Not part of `make test`: a measurement, and nothing else may work on the cluster meanwhile.
.PHONY: bench-takeover
bench-takeover: venv ## Measure how fast another replica of the operator takes over, and write build/bench/takeover.json (after `make install`)
	$(PYTHON) bench/takeover.py --report build/bench/takeover.json $(ARGS)

# Not part of `make check`: in its full size it takes more than an hour, and a Go build before.
.PHONY: bench-scale
bench-scale: venv ## Measure the operator at scale beside a Go operator, and write build/bench/scale.json; ARGS="--jobs 300 --deployments 100 --servers 20": smaller
	$(PYTHON) bench/reconcile_scale.py $(ARGS)

.PHONY: mutants
mutants: venv ## Change the pure decisions, one operator at a time; fail if no unit test notices a change and no line explains it
	PYTHONHASHSEED=0 $(PYTHON) -m tunewright_dev.mutants $(ARGS)

.PHONY: format
format: venv ## Format the code and fix what the linter can fix
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: generate
generate: venv ## Write the generated files: the chart's CRDs and the reference documentation
	$(PYTHON) charts/generate.py
	$(PYTHON) docs/generate.py

# With ARGS only tests run, no lint, and the cluster starts only if a selected test needs it.
.PHONY: test
ifeq ($(strip $(ARGS)),)
test: machine check install ## Run all tests, including those on the real cluster; ARGS="-k name" or a path below tests: only those, without lint
	$(PYTHON) -m pytest tests/chart tests/e2e
else
test: venv
	$(PYTHON) -m tunewright_dev.run_tests $(ARGS)
endif

# For a nightly run: more generated examples find rare failures.
.PHONY: test-full
test-full: EXAMPLES := --hypothesis-profile=full --timeout=3600
test-full: COVERAGE := --cov --cov-report=term
test-full: test mutants ## Run all tests with ten times as many generated examples and with coverage, then `make mutants`

.PHONY: demo
demo: machine ## Run the demo: train, evaluate, canary, promote, roll back; ARGS="--cpu-percent 50": on half of the CPU
	$(PYTHON) -m tunewright_dev demo $(ARGS)

.PHONY: up
up: machine ## Build what is missing and start the local cluster
	$(PYTHON) -m tunewright_dev up

.PHONY: images
images: machine ## Build and push the images that changed
	$(PYTHON) -m tunewright_dev images

.PHONY: install
install: up images ## Install or upgrade the chart on the cluster
	$(PYTHON) -m tunewright_dev install

.PHONY: scene
scene: machine ## Create the namespaces and data that the tutorial starts with
	$(PYTHON) -m tunewright_dev scene

.PHONY: status
status: venv ## Show the local cluster's components and their logs
	$(PYTHON) -m tunewright_dev status

.PHONY: down
down: venv ## Stop the local cluster and all of its processes
	$(PYTHON) -m tunewright_dev down

.PHONY: clean
clean: down ## Stop the local cluster and delete build outputs; caches outside the clone stay
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage

.PHONY: hooks
hooks: ## Run `make check` before each commit
	git config core.hooksPath dev/hooks

COMPILE := .venv/bin/uv pip compile -q --upgrade --generate-hashes --no-annotate --no-header --python-version 3.11

.PHONY: pins
pins: venv ## Update the pinned requirements of the checks, of the images of operator and server, and of the JavaScript client
	printf 'uv\n' | $(COMPILE) - -o requirements/bootstrap.txt
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra operator --extra evaluator --extra storage -c requirements/dev.txt -o requirements/operator.txt
	$(COMPILE) requirements/javascript.in -o requirements/javascript.txt
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) requirements/compile_server.py
