# The two commands that matter: `make run` and `make test`. Both set everything up first.
#
#   make setup                         .venv with the locked versions
#   make setup PYTHON=python3.12       with another Python (3.11 or newer)
#   make setup TORCH=cuda              the build of torch that the package index offers by default (CUDA on Linux)
#   make setup TORCH_INDEX=ADDRESS     torch from this index and no other, in whatever build it holds
#   make run ARGS="..."                further flags for `rewardgen run`
#   make test ARGS="..."               further flags for pytest
#   make quick                         the tests without those marked slow
#   make docs                          the documentation site, in build/docs/

PYTHON ?= python3
TORCH ?= cpu
TORCH_INDEX ?=
TASK ?= cartpole/swingup
ARGS ?=

TORCH_VERSION := $(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' requirements.lock)
BIN := .venv/bin
STAMP := .venv/stamp
LOCK := uv pip compile --universal --quiet --no-annotate --no-header --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup run test quick fuzz check docs format lock wheel clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -11

setup: $(STAMP)

# The stamp is older than the lock or pyproject.toml exactly when there is something to install.
$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "rewardgen needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	       "Name another one: make setup PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(MAKE) --no-print-directory torch
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# torch comes first and in the build that suits the machine; the lock then finds its version there already. Where pip's
# own settings offer no CPU build, uv knows where PyTorch keeps it; where that cannot be reached either, the default
# build works on a CPU too, it only takes more room.
.PHONY: torch
torch:
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --quiet --index-url "$(TORCH_INDEX)" "torch==$(TORCH_VERSION)"
else ifeq ($(TORCH),cpu)
	@$(BIN)/python -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != "$(TORCH_VERSION)")' 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet "torch==$(TORCH_VERSION)+cpu" 2>/dev/null \
	|| { $(BIN)/python -m pip install --quiet "$$(grep -o '^uv==[0-9.]*' requirements-dev.lock)" \
	     && UV_HTTP_TIMEOUT=20 UV_HTTP_RETRIES=1 $(BIN)/uv pip install --quiet --python $(BIN)/python \
	          --torch-backend cpu "torch==$(TORCH_VERSION)" 2>/dev/null; } \
	|| { echo "no CPU build of torch $(TORCH_VERSION) is within reach: installing the default build" \
	          "(TORCH_INDEX=ADDRESS names another index)" >&2; \
	     $(BIN)/python -m pip install --quiet "torch==$(TORCH_VERSION)"; }
else
	$(BIN)/python -m pip install --quiet "torch==$(TORCH_VERSION)"
endif

run: setup
	$(BIN)/rewardgen run $(TASK) $(ARGS)

test: setup browser
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

quick: setup
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow" $(ARGS)

# The tests of the pages look at them with a Chromium. Where none is there it is installed, if that is allowed without
# asking; where it is not, those tests are skipped and say so.
CHROMIUM := chromium chromium-browser google-chrome google-chrome-stable
APT := apt-get --quiet=2 --yes -o Acquire::Retries=0 -o Acquire::http::Timeout=20
.PHONY: browser
browser:
	@for name in $(CHROMIUM); do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { $(APT) install --no-install-recommends chromium || { $(APT) update && $(APT) install --no-install-recommends chromium; }; } \
	    >/dev/null 2>&1 && exit 0; \
	fi; \
	echo "there is no Chromium here and none could be installed: the tests in a browser will be skipped" >&2

# The parsers that face the outside, for as long as one likes: make fuzz EXAMPLES=1000000
fuzz: setup
	REWARDGEN_FUZZ_EXAMPLES=$(or $(EXAMPLES),100000) $(BIN)/python -m pytest tests/fuzz -q $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Broken links, missing anchors and references without a target are errors; nothing is fetched.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# New versions of everything, for every supported Python and platform at once.
lock: setup
	$(BIN)/$(LOCK) pyproject.toml --output-file requirements.lock
	$(BIN)/$(LOCK) --group dev pyproject.toml --constraints requirements.lock --output-file requirements-dev.lock

wheel: setup
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
