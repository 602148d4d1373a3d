"""Measures REST: songs in, stems out, against the same bytes to and from the same store without REST; and statuses."""

from __future__ import annotations

import base64
import http.client
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from bench import material
from bench.material import Setup
from local import Service
from msas.store import Store
from msas_client import Client

THREADS, TURNS = 4, 3
SONG_MB, SONGS = 5, 24  # songs a turn
CLIENTS, LARGE_MB = 50, 12  # 12 MB are 16 MB of base64
STATUSES, STATUS_THREADS = 1_000, 8
_JSON, _RAW = {"Content-Type": "application/json"}, {"Content-Type": "audio/mpeg"}
_own = threading.local()  # each thread keeps a connection
_numbers = count()


def measure(setup: Setup) -> dict[str, float]:
    """Measure uploads, downloads, statuses and many clients at once; service, store and clients share the cores."""
    variables = {**setup.environment, "MODEL_NAME": "lite", "MAX_QUEUE": "100000"}
    with Service(setup.out / "data", None, variables) as service:
        songhash = separate_minute(service, setup.cache)
        service.children["worker"].stop(10)  # it would take the cores from what is measured
        base = material.song(setup.cache, 60 * SONG_MB / 2.4).read_bytes()
        found = _uploads(service, base) | _downloads(service, songhash) | _statuses(service, songhash)
        return found | _many_clients(service, base)


def _uploads(service: Service, base: bytes) -> dict[str, float]:
    """MB of song a second: base64 in JSON, raw bodies, and put_object, from the same number of threads."""
    store = Store.from_settings(service.settings)

    def put(song: bytes) -> None:
        store.minio.put_object(service.settings.bucket_in, f"bench-{next(_numbers)}", BytesIO(song), len(song))

    def songs(size: int) -> list[bytes]:
        return [base[: size - 20] + f"{next(_numbers):020}".encode() for _ in range(SONGS)]

    def in_json(song: bytes) -> bytes:
        return b'{"mp3": "%b"}' % base64.b64encode(song)

    sides: dict[str, tuple[Callable[[bytes], Any], Callable[[bytes], bytes]]] = {
        "put": (put, bytes),
        "json": (lambda body: _post(service, body, _JSON), in_json),
        "raw": (lambda body: _post(service, body, _RAW), bytes),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS + 1):  # the first warms up
        for name, (send, written) in sides.items():
            bodies = [written(song) for song in songs(SONG_MB * 1_000_000)]
            rates[name].append(SONGS * SONG_MB / _took(send, bodies, THREADS))
    rate = {name: statistics.median(found[1:]) for name, found in rates.items()}
    return {
        "ingest_vs_put": rate["json"] / rate["put"],
        "ingest_raw_vs_put": rate["raw"] / rate["put"],
        "ingest_mb_per_s": rate["json"],
        "put_mb_per_s": rate["put"],
    }


def _downloads(service: Service, songhash: str) -> dict[str, float]:
    """MB of stems a second through REST, over those of get_object."""
    store, path = Store.from_settings(service.settings), f"/apiv1/track/{songhash}/vocals.wav"

    def get(_: int) -> None:
        answer = store.minio.get_object(service.settings.bucket_out, f"{songhash}-vocals.wav")
        for _chunk in answer.stream(256 * 1024):
            pass
        answer.release_conn()

    took: dict[str, list[float]] = {"get": [], "rest": []}
    for _ in range(TURNS + 1):
        took["get"].append(_took(get, range(SONGS), THREADS))
        took["rest"].append(_took(partial(_get, service), [path] * SONGS, THREADS))
    return {"track_vs_get": statistics.median(took["get"][1:]) / statistics.median(took["rest"][1:])}


def _statuses(service: Service, songhash: str) -> dict[str, float]:
    """Statuses a second, over answers of /healthz, which ask nobody."""
    paths = {"healthz": "/healthz", "status": f"/apiv1/status/{songhash}"}
    rates: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(TURNS + 1):
        for name, path in paths.items():
            rates[name].append(STATUSES / _took(partial(_get, service), [path] * STATUSES, STATUS_THREADS))
    rate = {name: statistics.median(found[1:]) for name, found in rates.items()}
    return {"status_vs_healthz": rate["status"] / rate["healthz"], "status_per_s": rate["status"]}


def _many_clients(service: Service, base: bytes) -> dict[str, float]:
    """Fifty clients at once send small songs, for the time to the answer; then large ones, for the memory."""
    waits: list[float] = []

    def submit(body: bytes) -> None:
        since = time.monotonic()
        _post(service, body, _RAW)
        waits.append(time.monotonic() - since)

    _took(submit, [base[:200_000] + str(next(_numbers)).encode() for _ in range(CLIENTS * 20)], CLIENTS)
    large = (base * 3)[: LARGE_MB * 1_000_000]
    text = base64.b64encode(large)[:-8]

    def send(number: int) -> None:
        _post(service, b'{"mp3": "%b%b"}' % (text, base64.b64encode(b"%06d" % number)), _JSON)

    _took(send, range(CLIENTS), CLIENTS)  # _post raises where one is lost
    peak = peak_mb(service)
    return {
        "submit_p99_ms_50_clients": statistics.quantiles(waits, n=100)[98] * 1000,
        "rest_peak_rss_mb": peak,
        "rest_peak_vs_sent": peak / (CLIENTS * len(text) / 1e6),
    }


def _took(action: Callable[[Any], Any], things: Any, threads: int) -> float:
    """Return the seconds that `threads` took to do `action` to all `things`."""
    with ThreadPoolExecutor(threads) as pool:
        since = time.monotonic()
        list(pool.map(action, things))
        return time.monotonic() - since


def _get(service: Service, path: str) -> None:
    _call(service, "GET", path)


def _post(service: Service, body: bytes, headers: Mapping[str, str]) -> None:
    _call(service, "POST", "/apiv1/separate", body, headers)


def _call(
    service: Service, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = _RAW
) -> None:
    with _connection(service) as connection:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        said = b""
        while chunk := answer.read(256 * 1024):
            said = chunk
        assert answer.status == 200, said[:300]


@contextmanager
def _connection(service: Service) -> Iterator[http.client.HTTPConnection]:
    """Give this thread's connection."""
    if not hasattr(_own, "connection"):
        _own.connection = http.client.HTTPConnection(
            service.settings.rest_host, service.settings.rest_port, timeout=120
        )
    yield _own.connection


def separate_minute(service: Service, cache: Path) -> str:
    """Separate a song of a minute into stems of 10 MB each; return its songhash."""
    with Client(service.address) as client:
        job = client.separate(material.song(cache, 60), format="wav").songhash
        client.wait(job, timeout=300)
        return job


def peak_mb(service: Service) -> float:
    """Return the sum of the peak memory of each REST process, in MB."""
    found = [re.findall(r"VmHWM:\s+(\d+)", status) for status in family(service).values()]
    return sum(int(kilobytes[0]) for kilobytes in found if kilobytes) / 1000


def family(service: Service) -> dict[int, str]:
    """Return what /proc says of each REST process and its children, by their ids."""
    found: dict[int, str] = {}
    for pid in sorted(int(process.name) for process in Path("/proc").glob("[0-9]*")):  # parents before children
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{pid}/status").read_text()
            if {pid, int(re.findall(r"PPid:\s+(\d+)", status)[0])} & {service.children["rest"].process.pid, *found}:
                found[pid] = status
    return found
