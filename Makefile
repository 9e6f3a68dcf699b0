# Everything there is to do with this repository. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

bin := .venv/bin
go := $(or $(shell command -v go),$(CURDIR)/$(bin)/go)

.PHONY: help setup up down test check bench lock golden clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing and build kernel, agent and root file systems; start nothing (root).
	@scripts/setup.sh

up: ## Set up, start the daemon, create the sandbox `hello` and run a command in it (root).
	@scripts/up.sh

down: ## Stop the daemon; sandboxes keep running (root).
	@scripts/down.sh

test: ## Run every test, in network and process namespaces of their own (root).
	@scripts/test.sh $(ARGS)

check: ## Run the checks that need no root: format, lint, types, layers, spelling, shell, Go, fast tests.
	@scripts/check.sh

bench: ## Measure every operation beside its floor (root).
	@$(bin)/python -m tests.performance $(ARGS)

# setuptools builds libvirt-python, hatchling and editables build this project: installs fetch nothing that is not pinned.
lock: ## Resolve the dependencies of pyproject.toml anew into requirements.lock.
	@printf '%s\n' editables hatchling setuptools | $(bin)/uv --no-config pip compile --quiet --upgrade \
	    --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	    --group dev pyproject.toml - --output-file requirements.lock

golden: ## Rewrite the expected files of the tests; review the difference.
	@GOLDEN=rewrite $(bin)/python -m pytest -q tests/unit tests/contract -m 'not root and not vm'
	git diff --stat -- tests

clean: ## Remove the virtual environment and what was built here; sandboxes and the image cache stay.
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache images/createos_images/bin
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
