# Each target makes what it needs and is quick the second time. `make` alone shows this list.

VENV := .venv
BIN := $(VENV)/bin
# Without sudo everything runs as this user, and what needs root is skipped with a word.
SUDO := $(shell [ "$$(id -u)" = 0 ] || { command -v sudo >/dev/null && \
	echo sudo --preserve-env=PROA_TEST_IMAGES,CI; })
SOURCES := $(shell find src -name '*.py' -o -path 'src/launch/*' -type f)
PYTEST := $(BIN)/python -m pytest
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help:
	@echo 'make demo    set everything up, obtain an image, run a container of it'
	@echo 'make test    set everything up, run all tests, real containers included (root, by sudo)'
	@echo 'make check   format, lint, types, layers, unit tests: seconds, no root'
	@echo 'make guest   tests named by TESTS=… in a virtual machine with another kernel (root, by sudo)'
	@echo 'make bench   measure proa beside docker, podman, crun and runc (root, by sudo)'
	@echo 'make format  format the source code'
	@echo 'make clean   remove all that these targets made in this directory'
	@echo
	@echo 'All is made in .venv and .cache here. System packages, which scripts/packages lists with'
	@echo 'reasons, are named before they are installed with apt-get.'

.PHONY: demo
demo: $(VENV)/installed
	@scripts/demo $(BIN)/proa

.PHONY: test
test: $(VENV)/tools .cache/packages-test
	$(SUDO) $(PYTEST) -p no:cacheprovider $(TESTS)

# Side by side: nearly all of it is other programs' work on one processor each.
.PHONY: check
check: $(VENV)/tools
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-units check-style

.PHONY: check-units check-style
check-units:
	$(PYTEST) -q tests/unit tests/golden tests/architecture
check-style:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

.PHONY: format
format: $(VENV)/tools
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The same tests on another kernel, with cgroups of version 2: TESTS says which.
.PHONY: guest
guest: $(VENV)/tools .cache/packages-test
	$(SUDO) $(BIN)/python -m tests.support.guest $(PYTEST) -q -p no:cacheprovider $(TESTS)

.PHONY: bench
bench: $(VENV)/installed .cache/packages-bench
	$(SUDO) $(BIN)/python -m bench $(CASES)

# Tests that ran as root have left files of root's.
MADE = build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache $(VENV) .cache
.PHONY: clean
clean:
	rm -rf $(MADE) || $(SUDO) rm -rf $(MADE)
	find . -name __pycache__ -prune -exec $(SUDO) rm -rf {} +

# What is made once, and again when what it is made of changes.

.cache/packages-%: scripts/packages scripts/system-packages
	@mkdir -p .cache
	@scripts/system-packages $*
	@touch $@

$(VENV)/pyvenv.cfg: | .cache/packages-run
	@echo 'Making the environment $(VENV)'
	@$$(scripts/python) -m venv $(VENV)

$(VENV)/dependencies: pyproject.toml scripts/requirements | $(VENV)/pyvenv.cfg
	@echo 'Installing what proa needs into $(VENV)'
	@$(BIN)/python scripts/requirements run build > $(VENV)/requirements
	@$(BIN)/python -m pip install --quiet --requirement $(VENV)/requirements
	@touch $@

# Not editable: the launcher and the compiled modules are what makes the command quick.
$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	@echo 'Installing proa into $(VENV)'
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

$(VENV)/tools: $(VENV)/dependencies
	@echo 'Installing the tools of development into $(VENV)'
	@$(BIN)/python scripts/requirements run build dev > $(VENV)/requirements
	@$(BIN)/python -m pip install --quiet --requirement $(VENV)/requirements
	@touch $@
