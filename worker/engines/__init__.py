"""The engines, which separate a mixture into sources. No other folder imports torch."""

from worker.engines.types import Engine, NotFinite, Order, Progress, Samples, Survey

__all__ = ["Engine", "NotFinite", "Order", "Progress", "Samples", "Survey"]
