# MSaaS on one machine: everything comes from Python wheels into .venv. `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
OUT    ?= out
DATA   ?= var

.DEFAULT_GOAL := help
.PHONY: help demo run logs doctor test lint bench soak clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed  ## separate a song and exit      [SONG=path] [OUT=out] [MODEL=name]
	@.venv/bin/python -m local demo --out "$(OUT)" $(if $(SONG),--song "$(SONG)") $(if $(MODEL),--model "$(MODEL)")

run: .venv/installed  ## keep the service up            [PORT=5000] [DATA=var] [MODEL=name]
	@$(if $(MODEL),MODEL_NAME="$(MODEL)") .venv/bin/python -m local run --data "$(DATA)" $(if $(PORT),--port "$(PORT)")

# Both speak to the service that `make run` keeps in DATA, else to whatever the environment names.
JOIN = set -a; if [ -f "$(DATA)/settings.env" ]; then . "$(DATA)/settings.env"; fi; set +a

logs: .venv/installed  ## follow the log of all services  [DATA=var]
	@$(JOIN); exec .venv/bin/python -m msas.logs

doctor: .venv/installed  ## look whether all is well       [DATA=var]
	@$(JOIN); exec .venv/bin/python -m msas.doctor

test: .venv/installed  ## run the tests against real servers
	@.venv/bin/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

lint: .venv/installed  ## ruff and mypy
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

bench: .venv/installed  ## measure, 10 minutes            [LONG=1] [DEVICE=cuda]
	@$(if $(DEVICE),DEVICE="$(DEVICE)") .venv/bin/python -m bench $(if $(LONG),--long)

soak: .venv/installed  ## the service under a rain of faults [MINUTES=20] [SEED=number]
	@.venv/bin/python -m tests.soak $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(SEED),--seed "$(SEED)")

clean:  ## remove .venv and what the tools left (not DATA, not OUT)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info client/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MSaaS needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11")'
	@echo "Installing into .venv; PyTorch makes this take a few minutes the first time ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[rest,worker,local,dev]' --editable './client[samples]'
	@touch $@
