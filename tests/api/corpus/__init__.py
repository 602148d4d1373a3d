"""The corpus of bad input: songs and requests that are not as they should be, and what must come of each."""

from tests.api.corpus.table import CASES, TABLE, page

__all__ = ["CASES", "TABLE", "page"]
