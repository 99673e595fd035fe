# The house's commands. `make help` lists them.
PYTHON ?= python3
export PYTHON
BIN := .venv/bin
PLAY := $(BIN)/ansible-playbook
# Variables for the playbooks: make up EXTRA="-e zookeeper_distribution=archive"
EXTRA ?=
# Molecule notes outside of the scenarios which nodes it made, by the name of the checkout's folder. Here it notes that in the
# checkout, and forgets it first: an interrupted run, or `make down`, would have it believe in nodes that are not there.
# The scenario with nodes of its own cannot run together with those that share theirs.
MOLECULE ?= export ANSIBLE_HOME=$(CURDIR)/.cache/ansible; rm -rf .cache/ansible/tmp/molecule.*; status=0; \
	$(BIN)/molecule test --all --exclude zookeeper_archive || status=1; \
	$(BIN)/molecule test --scenario-name zookeeper_archive || status=1; exit $$status
SHELL_SCRIPTS := .ci/run images/hadoop/bin/hadoop images/hadoop/bin/hdfs tools/engine_down tools/integration \
	tools/native tools/venv pmml_worker/benchmarks/run
# Lint, tests and Ansible find each other's commands without an activated environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

COMPILE := pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help up down test lint unit native integration molecule artifacts artifacts-list readme lock venv venv-base clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

up: ## create the local yard, score the sample on it, and show where everything is; run again at any time
	@tools/stages.py \
		'requirements=tools/venv' \
		'artifacts=$(PLAY) playbooks/artifacts.yml $(EXTRA)' \
		'nodes=$(PLAY) playbooks/nodes_up.yml $(EXTRA)' \
		'site=$(PLAY) site.yml $(EXTRA)' \
		'score=tools/yard_report.py'

down: venv-base ## remove the local yard, its images, its secrets and the Docker Engine that `make up` started
	@$(PLAY) playbooks/nodes_down.yml $(EXTRA)
	@tools/engine_down
	@rm -rf inventories/local/secrets

test: ## lint, unit tests, integration tests and Molecule
	@tools/stages.py --keep-going \
		'requirements=tools/venv test' \
		'control machine=$(PLAY) playbooks/control.yml' \
		'lint=$(MAKE) --no-print-directory lint' \
		'unit=$(MAKE) --no-print-directory unit' \
		'artifacts=$(PLAY) playbooks/artifacts.yml' \
		'integration=$(MAKE) --no-print-directory integration' \
		'molecule=$(MAKE) --no-print-directory molecule'

lint: venv ## style, types, and whether what is generated is up to date
	ruff check .
	ruff format --check .
	mypy && mypy molecule
	cd pmml_worker && ruff check . && mypy
	cd images/mesos && ruff check . && mypy .
	cd images/pmml-worker && ruff check --config ../../pmml_worker/pyproject.toml build tests && mypy --strict build tests
	cd images/hadoop && ruff check --config ../../pmml_worker/pyproject.toml tests && mypy --strict tests/*.py
	cd images/spark && ruff check --config ../../pmml_worker/pyproject.toml tests && mypy --strict tests
	yamllint --strict .
	ansible-lint --offline -q
	shellcheck --external-sources $(SHELL_SCRIPTS)
	tools/role_readme.py --check

unit: venv native ## unit tests of the house's tools and Ansible modules, and of the worker
	status=0; pytest || status=1; (cd pmml_worker && PYTHONPATH=src pytest) || status=1; exit $$status

native: venv ## compile the worker's extension in place, where the tests find it
	@tools/native

integration: venv ## test the package, the image and the scheduler that `make artifacts` built, without nodes
	@tools/integration

molecule: venv ## test every role on nodes of its own
	$(MOLECULE)

artifacts: venv-base ## fetch and build everything that the roles install beyond Debian packages
	$(PLAY) playbooks/artifacts.yml $(EXTRA)

artifacts-list: venv ## list everything that a site without internet must bring
	@tools/artifacts_list.py

readme: venv-base ## generate the roles' README files from their argument_specs
	tools/role_readme.py

lock: venv-base ## renew requirements.txt, requirements-test.txt and the worker's locks
	$(COMPILE) --output-file requirements.txt requirements.in
	$(COMPILE) --constraint requirements.txt --extra http --extra scheduler --extra test \
		--output-file requirements-test.txt pmml_worker/pyproject.toml
	cd pmml_worker && $(COMPILE) --extra http --extra scheduler --extra spark --output-file requirements.lock pyproject.toml
	cd pmml_worker/benchmarks && $(COMPILE) --output-file requirements.lock requirements.in
	cd pmml_worker && $(COMPILE) --only-build-deps --build-deps-for wheel --output-file build-requirements.lock pyproject.toml

venv-base: ## make .venv hold what requirements.txt pins: enough for make up
	@tools/venv

venv: ## make .venv hold what requirements.txt and requirements-test.txt pin
	@tools/venv test

clean: ## remove the virtual environment and all caches
	rm -rf .venv .cache .ansible .mypy_cache .pytest_cache .ruff_cache
