"""The whole service, started once for all tests, with the lite model and a small Demucs beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Idle threads of PyTorch sleep instead of spinning, since test processes and workers share the cores. PyTorch reads
# this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import requests
import torch
from demucs.htdemucs import HTDemucs
from demucs.states import save_with_checksum
from redis import Redis

from local import Service
from local.demo import default_song
from local.servers import free_ports
from msas.settings import Settings
from msas_client import Client
from tests.support import small_unblend
from tests.support.forked_child import FORKING
from worker.engines import runtime as runtimes
from worker.engines import unblend_weights
from worker.engines.runtime import Runtime

SOURCES = ["drums", "bass", "other", "vocals"]


@pytest.fixture(scope="session")
def model_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local repository in Demucs' own format: `small`, an HTDemucs, and `pair`, a bag of two more with weights.

    Where unblend is installed, a small model of the class of `melband_roformer_kim` lies beside them under its name.
    """
    folder = tmp_path_factory.mktemp("models")
    for seed, signature in enumerate(("small", "first", "second")):
        torch.manual_seed(seed)
        kwargs: dict[str, Any] = {
            "channels": 8,
            "segment": 1,
            "bottom_channels": 32,
            "dconv_mode": 3,
            "t_layers": 1,
            "t_heads": 2,
            "depth": 4,
        }
        model = HTDemucs(SOURCES, **kwargs).eval()
        package = {"klass": HTDemucs, "args": (SOURCES,), "kwargs": kwargs, "state": model.state_dict()}
        save_with_checksum(package, folder / f"{signature}.th")  # type: ignore[no-untyped-call]
    if unblend_weights.is_installed():
        small_unblend.save("mel", folder, "melband_roformer_kim")
    (folder / "pair.yaml").write_text("models: ['first', 'second']\nweights: [[1, 0, 1, 1], [0, 1, 1, 2]]\n")
    return folder


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, model_repo: Path) -> Iterator[Service]:
    """The running service: Redis, store, REST, worker."""
    environment = {
        "MODEL_NAME": "lite",
        "MODEL_REPO": str(model_repo),
        "MAX_UPLOAD_MB": "20",
        "LEASE_SECONDS": "3",
        "BEAT_SECONDS": "0.5",
        "RETRY_SECONDS": "0.5",
        "CALLBACK_ALLOW_HOSTS": "127.0.0.1",
        "CALLBACK_SECRET": "whsec_bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0",
    }
    # A port of its own: two test processes that start at once would both find the usual one free.
    with Service(tmp_path_factory.mktemp("service"), free_ports(1)[0], environment) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def quick_exports() -> Iterator[None]:
    """Networks are exported in processes that fork, with their imports done, from one of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "EXPORT_APART", FORKING)
        yield


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """The CPU in full precision, so that results can be compared to the last digit."""
    return Runtime(Settings(device="cpu", precision="float32"))


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[Client]:
    with Client(service.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def redis(service: Service) -> Redis:
    """A plain connection to the service's Redis, as any foreign producer has it."""
    return Redis(service.settings.redis_host, service.settings.redis_port)


@pytest.fixture
def post(service: Service) -> Iterator[Callable[..., requests.Response]]:
    """Post to /apiv1/separate whatever requests can send; the jobs are removed after the test."""
    accepted: set[str] = set()

    def send(**content: Any) -> requests.Response:
        answer = requests.post(f"{service.url}/apiv1/separate", timeout=60, **content)
        if answer.status_code == 200:
            accepted.add(answer.json()["hash"])
        return answer

    yield send
    for songhash in accepted:
        requests.delete(f"{service.url}/apiv1/remove/{songhash}", timeout=60)


@pytest.fixture(scope="session")
def song() -> Path:
    """A real song of 6 s whose true stems are known."""
    return default_song()


@pytest.fixture
def worker_lives_on(service: Service, client: Client, song: Path) -> Iterator[None]:
    """After the test, the same worker process still separates a good song."""
    before = service.children["worker"].process.pid
    yield
    songhash = client.separate(song).songhash
    assert client.wait(songhash, timeout=60).state == "succeeded"
    assert service.children["worker"].process.pid == before
    assert service.children["worker"].alive
