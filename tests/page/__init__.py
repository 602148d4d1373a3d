"""The page, driven in a real Chromium against the real service: `make test-page`. Never part of `make test`."""

CHROMIUM = "chromium"
