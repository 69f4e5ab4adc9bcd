# The menu: `make` alone shows it. GNU make 3.81 will do.

# The first Python on the path that is new enough; dev.py says what to do when there is none.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$python -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then echo $$python; exit; fi; done; echo python3)
IN_VENV = .venv/bin/python -m
SCRIPT_TOOLS = node_modules/.package-lock.json

.PHONY: help run test test-deep test-stripe lint scripts bench bench-deep serve sandbox setup

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

run: ## The shop on http://localhost:4242, with a local stand-in for Stripe unless .env has keys
	@exec $(PYTHON) dev.py

test: setup ## Every test, after setting up what is missing (Chromium, too)
	@$(IN_VENV) tests.chromium
	@if command -v npm >/dev/null; then $(MAKE) -s $(SCRIPT_TOOLS) || echo "No axe-core: pages are not looked at with it."; fi
	@exec $(IN_VENV) pytest -n logical --dist loadfile

test-deep: setup ## The long ones: 10,000 histories, 1,000 customers under fire, 20,000 odd requests
	@exec $(IN_VENV) pytest -m deep

test-stripe: setup ## The tests that Stripe's test mode must pass, too, there: with STRIPE_SECRET_KEY=sk_test_...
	@AGAINST_STRIPE=1 exec $(IN_VENV) pytest -m stripe_verified -rs tests/sandbox

lint: setup ## Style, format and types
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(IN_VENV) mypy
	@if command -v npm >/dev/null; then $(MAKE) -s scripts; else echo "No npm here: the scripts' types are not checked."; fi

scripts: $(SCRIPT_TOOLS) ## The pages' scripts against Stripe.js's own types; needs npm
	npm run --silent check

$(SCRIPT_TOOLS): package.json package-lock.json
	npm ci --ignore-scripts --loglevel=error
	@touch $@

bench: setup ## Speed, as ratios measured in one run
	@exec $(IN_VENV) tests.bench

bench-deep: setup ## The same, with 100,000 events and 1,000,000 subscriptions
	@exec $(IN_VENV) tests.bench --deep

serve: ## The production server, with the settings of the environment and .env
	@exec $(PYTHON) dev.py serve

sandbox: setup ## The stand-in for Stripe alone, on http://localhost:12111
	@exec $(IN_VENV) sandbox

setup: ## Only .venv, with what developers need
	@$(PYTHON) dev.py install requirements-dev.txt
