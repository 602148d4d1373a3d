# MSaaS on one machine, and onto a cluster. All of it comes from Python wheels into .venv. `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
OUT    ?= out
DATA   ?= var
KUBECTL ?= kubectl
ENGINE ?= $(notdir $(shell command -v docker || command -v podman))
TAG    ?= v1

.DEFAULT_GOAL := help
.PHONY: help dev demo run logs doctor test test-long lint bench soak test-containers test-page screenshots images push deploy undeploy forward lint-manifests overlay clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: .venv/installed  ## install all for development into .venv; say what to run
	@echo "All is in .venv: run .venv/bin/python, .venv/bin/msas, and give .venv/bin/python to your editor."
	@echo "  make lint               ruff and mypy; .venv/bin/ruff format . formats; their settings are in pyproject.toml"
	@echo "  make test ARGS=tests/unit   some of the tests; make test runs all of them"
	@echo "  make run                the service from this folder, on http://127.0.0.1:5000"
	@echo "docs/contributing.md has the rules, docs/architecture.md the way through the code."

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

# Bytecode is kept even where the environment says otherwise: hundreds of processes of a run load the same modules.
# Each test process has a service of its own. One that has no tests left takes some of another's. Tests wait much of the
# time, so three processes keep two cores busy; a browser does so by itself.
PYTEST = PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest --dist worksteal --numprocesses

test: .venv/installed  ## run the tests against real servers, in a random order   [ARGS=...]
	@$(PYTEST) 3 $(ARGS)

test-long: .venv/installed  ## mutations of the queue, pairs of faults, an hour of song: what takes too long for make test
	@$(PYTEST) 2 -m long $(ARGS)

lint: .venv/installed  ## ruff and mypy
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

lint-manifests: .venv/installed .venv/checkov/bin/checkov  ## Checkov on all manifests
	@.venv/bin/python -m tests.support.manifests >.venv/checkov/manifests.yaml
	@.venv/checkov/bin/checkov --config-file k8s/.checkov.yaml --file .venv/checkov/manifests.yaml

bench: .venv/installed  ## measure speed and memory, 10 minutes   [PARTS="queue rest"] [LONG=1] [SAVE=1] [DEVICE=cuda]
	@$(if $(DEVICE),DEVICE="$(DEVICE)") .venv/bin/python -m bench $(PARTS) $(if $(LONG),--long) $(if $(SAVE),--save)

soak: .venv/installed  ## the service under a rain of faults [MINUTES=20] [SEED=number]
	@.venv/bin/python -m tests.soak $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(SEED),--seed "$(SEED)")

test-containers: .venv/installed  ## build the images and run the manifests' pods, with podman as root
	@.venv/bin/python -m pytest tests/containers $(ARGS)

test-page: .venv/installed  ## drive the page in Debian's Chromium, which root gets installed
	@.venv/bin/python -m tests.page
	@$(PYTEST) 2 tests/page $(ARGS)

screenshots: .venv/installed  ## take the pictures of docs/page.md, and draw the page's icons
	@.venv/bin/python -m tests.page
	@.venv/bin/python -m tests.page.screenshots

images:  ## msas-rest and msas-worker      [TAG=v1] [MODELS="htdemucs lite"] [ROFORMER=1] [TORCH_INDEX=url] [BUILD_FLAGS=...]
	@$(ENGINE) build $(BUILD_FLAGS) --file rest/Dockerfile --tag msas-rest:$(TAG) .
	@$(ENGINE) build $(BUILD_FLAGS) $(if $(MODELS),--build-arg MODELS="$(MODELS)") $(if $(ROFORMER),--build-arg ROFORMER=1) \
		$(if $(TORCH_INDEX),--build-arg TORCH_INDEX="$(TORCH_INDEX)") --file worker/Dockerfile --tag msas-worker:$(TAG) .

push:  ## both into a registry           REGISTRY=host/path [TAG=v1]
	@test -n "$(REGISTRY)" || { echo "Say where to: make push REGISTRY=host/path"; exit 2; }
	@for name in msas-rest msas-worker; do \
		$(ENGINE) tag $$name:$(TAG) "$(REGISTRY)/$$name:$(TAG)" && $(ENGINE) push "$(REGISTRY)/$$name:$(TAG)" || exit 1; done

# What an overlay creates, less the namespace and the volumes: what stays when the rest goes.
PASSING = awk -v RS='---\n' '!/(^|\n)kind: (Namespace|PersistentVolumeClaim)\n/ { print "---"; print }'

BUILT = $(KUBECTL) kustomize k8s/overlays/$(OVERLAY)

deploy: overlay  ## onto the cluster of kubectl's context  OVERLAY=local|gke
	@! $(BUILT) | grep -E 'YOUR-PROJECT|msas\.example\.com' || { echo "These are placeholders: name your registry in" \
		"k8s/overlays/$(OVERLAY) and your host in k8s/components/ingress/ingress.yaml."; exit 2; }
	@for secret in minio-credentials $$($(BUILT) | grep -q 'optional: false' && echo msas-api-keys); do \
		$(KUBECTL) -n msas get secret $$secret >/dev/null || { echo \
			"docs/kubernetes.md says how to create the namespace and the secret $$secret."; exit 2; }; done
	@$(KUBECTL) apply -k k8s/overlays/$(OVERLAY)
	@for name in redis minio rest worker; do \
		$(KUBECTL) -n msas rollout status deployment/$$name --timeout=10m || exit 1; done

undeploy: overlay  ## off it; the two volumes stay         OVERLAY=local|gke
	@$(BUILT) | $(PASSING) | $(KUBECTL) delete --ignore-not-found -f -

overlay:
	@test -f "k8s/overlays/$(OVERLAY)/kustomization.yaml" || { echo \
		"Say which cluster it is for: OVERLAY=local (kind, minikube, Docker Desktop) or OVERLAY=gke."; exit 2; }

forward:  ## REST of the cluster on localhost:5000, until Ctrl-C
	@$(KUBECTL) -n msas port-forward svc/rest-service 5000:5000

clean:  ## remove .venv and what the tools left (not DATA, not OUT)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info client/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment of its own: it brings a hundred packages, some in other releases than ours.
.venv/checkov/bin/checkov: | .venv/installed
	@$(PYTHON) -m venv .venv/checkov
	@.venv/checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30

.venv/installed: pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MSaaS needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3.11")'
	@echo "Installing into .venv; PyTorch makes this take a few minutes the first time ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[rest,worker,roformer,local,dev]' --editable './client[samples]'
	@touch $@
