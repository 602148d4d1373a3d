"""Our images and manifests, run for real by podman: `make test-containers`. Never part of `make test`."""
