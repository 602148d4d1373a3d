"""The engines: each turns a mixture into its sources. Only the files of this folder know torch."""

from worker.engines.engine import Engine, Progress, Samples

__all__ = ["Engine", "Progress", "Samples"]
