"""The object store of songs, stems and reports. The only package that names an object's key."""

from msas.store.store import Store

__all__ = ["Store"]
