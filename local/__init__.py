"""The whole service on one machine, every server of it from Python wheels."""

from local.service import Service, ServiceError

__all__ = ["Service", "ServiceError"]
