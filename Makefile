# Everything a developer, the CI and a curious user need. Two commands matter: make demo, make test.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
# Where it is set, every daemon that a test starts would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
BENCHES := $(patsubst tests/bench/bench_%.py,%,$(wildcard tests/bench/bench_*.py))
# ARGS=... goes to pytest or to the bench, e.g. make test ARGS='-k lane -x'
ARGS ?=

# An environment that another directory made (a copied tree) is made again.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: venv
venv: $(READY) ## the virtual environment .venv, with everything pinned (PYTHON=... picks the interpreter)

$(READY): pyproject.toml constraints.txt tests/tools/make-venv.sh
	@tests/tools/make-venv.sh $(VENV)

.PHONY: tools
tools: ## the programs that tests run: docker-registry, skopeo, strace, Prometheus, systemd-analyze, nats-server, PostgreSQL; two more registries and a reader of compose files, if there is a Go
	@tests/tools/get-programs.sh docker-registry skopeo strace prometheus systemd-analyze nats-server pg_ctlcluster
	@tests/tools/build-programs.sh distribution3 ociregistry composecheck

.PHONY: format
format: $(READY) ## rewrite the sources in the house format
	@$(PY) -m ruff check --quiet --fix-only .
	@$(PY) -m ruff format .

.PHONY: lint
lint: $(READY) ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

.PHONY: types
types: $(READY) ## mypy, strict, package, tests and dashboards
	@$(PY) -m mypy

.PHONY: imports
imports: $(READY) ## import-linter: imports point downwards only
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: test
test: $(READY) tools ## what every change must pass
	@$(MAKE) -j2 lint types imports
	@$(PY) -m pytest -m "not prove" --numprocesses=2 --dist=loadfile --durations=15 $(ARGS)

.PHONY: prove
prove: $(READY) tools ## the long proof; prints what it showed
	@tests/tools/get-programs.sh systemd-nspawn podman buildah crun runc || echo "what needs them is skipped" >&2
	@tests/tools/build-programs.sh gitea
	@tests/tools/get-schemas.sh $(PY) || echo "what needs the schemas of Kubernetes is skipped" >&2
	@$(PY) -m pytest -m prove -s -v -o timeout=0 --durations=0 $(ARGS)

.PHONY: soak
soak: $(READY) ## whole simulated runs, SEEDS=20000 of them from FIRST=1 on (JOBS=1: on one processor)
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

.PHONY: demo
demo: $(READY) ## a primary, two replicas and the daemon, to push into (ONCE=1: check and leave)
	@tests/tools/get-programs.sh --or-containers docker-registry
	@$(PY) -m tests.demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: bench
bench: $(READY) tools ## measurements, all or ONLY=store; ONLY=copy ARGS='--size small': beside skopeo, crane, regsync
	@tests/tools/build-programs.sh crane regsync
	@set -e; PATH="$(CURDIR)/build/programs:$$PATH"; for bench in $(or $(ONLY),$(BENCHES)); do echo "== $$bench"; $(PY) -m tests.bench.bench_$$bench $(ARGS); done

.PHONY: docs
docs: $(READY) ## write docs/configuration.md from the schema, check all documents against the code
	@$(PY) -m replicator.settings.reference >docs/configuration.md.new && mv docs/configuration.md.new docs/configuration.md
	@$(PY) -m pytest -q tests/meta/test_docs.py $(ARGS)

.PHONY: dashboards
dashboards: $(READY) ## write grafana/dashboards from grafana/*.py
	@$(PY) -m grafana.generate

.PHONY: pictures
pictures: $(READY) tools ## draw docs/pictures anew: what the panels show of a real site, 4 minutes (installs matplotlib)
	@EXTRAS=dev,pictures tests/tools/make-venv.sh $(VENV)
	@$(PY) -m tests.pictures $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## coverage-guided fuzzing of the webhook decoders, 20 s each; ARGS='--seconds 600 acr' (installs atheris)
	@EXTRAS=dev,fuzz tests/tools/make-venv.sh $(VENV)
	@$(PY) -m tests.fuzz $(ARGS)

.PHONY: pins
pins: ## write constraints.txt anew, from the newest versions that pyproject.toml allows
	@EXTRAS=dev,fuzz,pictures tests/tools/make-venv.sh build/pins --newest
	@{ sed -n '/^#/p' constraints.txt; build/pins/bin/python -m pip --disable-pip-version-check freeze --all \
	  | grep -E '^[A-Za-z0-9_.-]+==' | LC_ALL=C sort -f; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build/pins

.PHONY: clean
clean: ## remove everything that make made
	@rm -rf $(VENV) build dist replicator.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
