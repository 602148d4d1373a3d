"""The servers that the fault tests share, and what each test finds of them: empty, and without workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local import Service
from msas.models import Model
from tests.support.fake_engine import MODELS, STEMS
from tests.support.faultproxy import FaultProxy
from tests.support.offers import advertise_models
from tests.support.rig import Rig, lasting_buckets

# A slow machine delays heartbeats: a worker that lives must keep its lease. Tests end leases with Rig.expire_lease.
LEASE = 6.0


@pytest.fixture(scope="session")
def spare_buckets(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Two buckets for rigs that only one test uses: a new bucket takes the store a second."""
    with lasting_buckets(tmp_path_factory.mktemp("buckets") / "rig", service.settings) as buckets:
        yield buckets


@pytest.fixture(scope="session")
def lasting_rig(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("shared") / "rig", service.settings, lease_seconds=LEASE) as running:
        running.store.make_buckets()  # not each test makes the buckets that the fixture empties
        yield running


@pytest.fixture
def rig(lasting_rig: Rig) -> Iterator[Rig]:
    """Redis and two buckets, without REST and without a worker."""
    yield lasting_rig
    lasting_rig.reset()


@pytest.fixture(scope="session")
def lasting_proxy() -> Iterator[FaultProxy]:
    proxy = FaultProxy(("127.0.0.1", 0))
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def lasting_rest_rig(
    service: Service, tmp_path_factory: pytest.TempPathFactory, lasting_proxy: FaultProxy
) -> Iterator[Rig]:
    variables: dict[str, Any] = {"lease_seconds": LEASE, "reconcile_seconds": 3600.0, "rate_limit": "100000/minute"}
    folder = tmp_path_factory.mktemp("rest") / "rig"
    with Rig(folder, service.settings, redis_port=lasting_proxy.port, **variables) as running:
        lasting_proxy.target = ("127.0.0.1", running.own_redis_port)
        running.store.make_buckets()
        running.rest()
        yield running


@pytest.fixture
def rest_rig(lasting_rest_rig: Rig, lasting_proxy: FaultProxy) -> Iterator[Rig]:
    """The same with REST, which does not reconcile. REST and the workers reach Redis through `proxy`."""
    offer = {"models": [vars(Model(name, STEMS, "")) for name in MODELS], "default": MODELS[0]}
    advertise_models(lasting_rest_rig.queue, offer)
    yield lasting_rest_rig
    lasting_proxy.calm()
    lasting_rest_rig.reset()


@pytest.fixture
def proxy(rest_rig: Rig, lasting_proxy: FaultProxy) -> FaultProxy:
    """The proxy between the processes of `rest_rig` and Redis."""
    assert rest_rig.settings.redis_port == lasting_proxy.port
    return lasting_proxy
