# Everything a person types. `make` alone lists it.
SCALE ?= 0.001
PORT ?= 8000
PEOPLE ?= 1000000

VENV := .venv
BIN := $(VENV)/bin
# Compiling all that is installed costs 20 s; what is used is compiled when it is first used.
PIP := $(BIN)/python -m pip --require-virtualenv install --quiet --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
# One stamp per content of the requirements: the next `make` has nothing to install until they change.
RUN := $(VENV)/installed-$(shell cksum < requirements.txt | cut -d' ' -f1)
DEV := $(RUN)-$(shell cksum < requirements-dev.txt | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench chaos clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(RUN) ## put what the programme needs into .venv

demo: $(RUN) ## start the whole programme here, with made-up people: SCALE=0.001 of 23 million, PORT=8000
	@$(BIN)/python -m prakerja.demo --scale $(SCALE) --port $(PORT)

test: $(DEV) ## run the test suite
	@sh tools/need_chromium.sh
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(DEV) ## lint, format, types, imports, migrations, translations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python tools/check_translations.py

bench: $(DEV) ## measure: PEOPLE=1000000
	$(BIN)/python -m benchmarks --people $(PEOPLE)

chaos: $(RUN) ## rehearse with everything being killed: PEOPLE=5000
	$(BIN)/python -m chaos --people $(if $(filter command line environment,$(origin PEOPLE)),$(PEOPLE),5000)

clean: ## stop the embedded servers; remove .venv, data, keys, logs and everything built
	@python=$(BIN)/python; test -x $$python || python=python3; $$python -m prakerja.embedded clean
	rm -rf $(VENV) .state build staticfiles

# Tried by running it: a version manager has names on the PATH for Pythons that it has not got.
$(RUN):
	@test -x $(BIN)/pip || for python in python3.13 python3.12 python3.11 python3 ""; do \
		test -n "$$python" || { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3-venv)." >&2; exit 1; }; \
		$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue; \
		$$python -m venv $(VENV) && break; \
	done
	@echo "Installing into $(VENV)"
	@$(PIP) -r requirements.txt
	@touch $@

$(DEV): $(RUN)
	@echo "Installing what tests and checks need"
	@$(PIP) -r requirements-dev.txt
	@touch $@
