"""The engines, which separate a mixture into sources; this exports their types. No other folder imports torch."""

from worker.engines.types import Engine, MixtureStats, NotFinite, Progress, Samples, SeparationParams

__all__ = ["Engine", "MixtureStats", "NotFinite", "Progress", "Samples", "SeparationParams"]
