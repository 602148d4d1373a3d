"""The engines: each turns a mixture into its sources. Only the files of this folder know torch."""

from worker.engines.types import Engine, NotFinite, Order, Progress, Samples, Survey

__all__ = ["Engine", "NotFinite", "Order", "Progress", "Samples", "Survey"]
