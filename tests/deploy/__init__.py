"""Manifests, images and make targets."""
