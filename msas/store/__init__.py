"""The store: where a song's bytes and those of its stems lie. The only place that names an object's key."""

from msas.store.store import Store

__all__ = ["Store"]
