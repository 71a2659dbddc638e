# Every target installs first what it needs and this machine lacks; nothing is done twice.
# On Debian 12 or newer, as root or with sudo. PYTHON=python3.12 chooses another Python.

SHELL := /bin/bash
# The system's Python where libraries can be built with it: Debian optimises it by profile, and one of pyenv's, built
# without that, took 1.5 × as long for the same work.
PYTHON ?= $(shell /usr/bin/python3 -c '$(IS_FIT)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
IS_FIT := import ensurepip, os, sys, sysconfig; \
	sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# The practice fleet needs root; without sudo it falls back to libvirt's test driver.
ROOT := $(if $(filter-out 0,$(shell id -u)),$(if $(shell command -v sudo),sudo --preserve-env))
# What the demo shows stays apart from real data (var/).
DEMO := VMDASH_DATA_DIR="$${VMDASH_DATA_DIR:-$(CURDIR)/var/demo}"
# Each process of tests has servers of its own.
SIDE_BY_SIDE := -q --numprocesses auto --maxprocesses 4
CODE := vmdash hosts domains storage bench tests manage.py docs/screenshots.py

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

# --- running --------------------------------------------------------------------------------------
.PHONY: demo run
demo: setup-lab ## vmdash with a practice fleet: three libvirt hosts, a dozen guests
	@$(ROOT) env $(DEMO) $(BIN)/python manage.py run --demo

run: setup ## vmdash for real use: your own hosts
	@$(BIN)/python manage.py run

# --- testing --------------------------------------------------------------------------------------
.PHONY: test check
test: setup-tests ## all tests: those that need no fleet on PostgreSQL, those with a database on SQLite too, then the rest
	@$(ROOT) env VMDASH_TEST_DATABASE=postgresql $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not lab and not browser"
	@mkdir -p var  # the practice fleet leaves half of the machine idle, so these run beside it
	@$(ROOT) nice -n 19 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not lab and not browser and not one_database" \
		> var/tests-sqlite.log 2>&1 & beside=$$!; \
	$(ROOT) $(BIN)/python -m pytest -m "lab or browser"; failed=$$?; \
	wait $$beside || failed=$$?; \
	echo "The same without a fleet, on SQLite:"; cat var/tests-sqlite.log; exit $$failed

check: setup-tests ## style, types, import rules, migrations, templates, JavaScript
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	node_modules/.bin/biome ci --colors=off
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check
	VMDASH_TLS=yes $(BIN)/python manage.py check --deploy --fail-level WARNING

# --- measuring and showing ------------------------------------------------------------------------
.PHONY: bench-latency bench-pages bench-faults bench-migration bench-clone bench-collector bench-live bench-web screenshots
bench-latency: setup-lab ## time from a change on a host to the browser; short actions beside long jobs
	@$(ROOT) $(BIN)/python -m bench.latency
	@$(ROOT) $(BIN)/python -m bench.short_actions

bench-pages: setup ## server time of the pages with 10,000 guests
	@$(BIN)/python -m bench.pages

bench-live: setup ## figures to 200 browsers, of 10,000 guests
	@$(BIN)/python -m bench.live

bench-web: setup-tests ## 500 people signed in, 50 of them acting
	@$(BIN)/python -m bench.web

bench-faults: setup-lab ## the pages while hosts are hung, dead or out of reach
	@$(ROOT) $(BIN)/python -m bench.faults

bench-migration: setup-lab ## a live migration against plain virsh
	@$(ROOT) $(BIN)/python -m bench.migration

bench-clone: setup-lab ## clones, uploads and downloads against qemu-img and virsh
	@$(ROOT) $(BIN)/python -m bench.clone

bench-collector: setup-tests ## the collector with 1,000 simulated hosts, and with 60 real guests
	@$(ROOT) $(BIN)/python -m bench.collector
	@$(ROOT) $(BIN)/python -m bench.collector_cost

screenshots: setup-tests ## new pictures for the README, from the practice fleet
	@$(ROOT) $(BIN)/python -m docs.screenshots

# --- keeping up -----------------------------------------------------------------------------------
.PHONY: lock clean
lock: $(VENV)/installed ## newest allowed versions into requirements.txt and package-lock.json
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --allow-unsafe --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-options requirements.in
	npm update --package-lock-only

clean: ## remove what these commands made here, but not var/
	$(ROOT) rm -rf $(VENV) node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# --- setting up -----------------------------------------------------------------------------------
# First the packages that Python libraries are built with, then the libraries while the other packages come.
.PHONY: setup setup-lab setup-tests other-packages
setup: LISTS = deploy/packages-npm.txt
setup-lab: LISTS = deploy/packages-npm.txt vmdash/lab/packages.txt
setup-tests: LISTS = deploy/packages-npm.txt vmdash/lab/packages.txt tests/packages.txt
setup setup-lab setup-tests:
	@deploy/install-packages deploy/packages.txt
	@mkdir -p var # by whoever calls: what root makes in it later does not lock them out
	@$(MAKE) --silent -j2 LISTS="$(LISTS)" $(VENV)/installed node_modules/installed

other-packages:
	@deploy/install-packages $(LISTS)

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vmdash needs Python 3.11 or newer, $(PYTHON) is older. Name another: make PYTHON=python3.12 ...")'
	@echo "Installing Python libraries into $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	@touch $@

node_modules/installed: package-lock.json | other-packages
	@echo "Installing browser libraries into node_modules"
	@npm ci --silent --no-audit --no-fund
	@touch $@
