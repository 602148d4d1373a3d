"""Freezes error codes, callbacks, settings, metrics, the client, its command and the sample scripts' output."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import pytest
import requests
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import msas_client
from local import Service
from msas.errors import Problem, Unavailable
from msas.settings import Settings
from rest.app import create_app
from tests.contract import frozen
from tests.queue.fixtures import report
from worker.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
P = TypeVar("P", bound=Problem)


# Errors and callbacks


def list_problems(kind: type[P]) -> Iterator[type[P]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from list_problems(derived)


def group(pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Return the codes, in alphabetical order, by their number."""
    found: dict[int, list[str]] = {}
    for number, code in sorted(set(pairs)):
        found.setdefault(number, []).append(code)
    return {number: " ".join(codes) for number, codes in found.items()}


def test_error_codes_have_these_http_statuses() -> None:
    found = group((kind.status, kind.code) for kind in list_problems(Problem) if "code" in vars(kind))

    assert found == frozen.PROBLEMS


def test_temporary_errors_say_after_how_many_seconds_to_try_again() -> None:
    found = group((kind.retry_after_seconds, kind.code) for kind in list_problems(Unavailable))

    assert found == frozen.RETRY_AFTER_SECONDS


@pytest.mark.parametrize("call", frozen.REFUSED_CALLS)
def test_call_that_is_not_part_of_the_api_is_refused_with_this_code(call: str) -> None:
    method, path = call.split()

    answer = create_app(Settings()).test_client().open(path, method=method)

    problem = answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert sorted(problem) == ["code", "detail", "status", "title"]
    assert (answer.status_code, problem["status"], problem["code"]) == frozen.REFUSED_CALLS[call]


class Hook(BaseHTTPRequestHandler):
    """Keeps the last callback: the names of its headers in lower case, and its body."""

    seen: ClassVar[tuple[str, str]] = ("", "")

    def do_POST(self) -> None:
        headers = " ".join(sorted(name.lower() for name in self.headers))
        Hook.seen = (headers, self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()


def test_callback_is_a_post_of_the_data_with_these_headers(service: Service, separated: str, fixed_song: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Hook) as server, msas_client.Client(service.address) as client:
        server.timeout = 120

        job = client.separate(fixed_song, callback={"url": f"http://127.0.0.1:{server.server_port}/", "data": [1]})
        server.handle_request()

    assert (job.songhash, Hook.seen) == (separated, frozen.CALLBACK_REQUEST)


# Settings and metrics


def test_settings_of_an_empty_environment_are_these_defaults() -> None:
    found = Settings.from_environment({}).to_environment()

    assert found == {name: default for name, (default, _) in frozen.SETTINGS.items() if name != "MODEL_REPO"}


def test_settings_are_read_from_variables_of_these_names() -> None:
    environment = {name: other for name, (_, other) in frozen.SETTINGS.items()}

    found = Settings.from_environment(environment).to_environment()

    assert found == environment


def list_metrics(text: str) -> dict[str, str]:
    """Return each name in a text of Prometheus' format with its kind and its labels."""
    return {
        sample.name: " ".join([family.type, *sorted(sample.labels)])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_of_rest_have_these_names_and_labels(service: Service, separated: str) -> None:
    requests.get(f"{service.url}/apiv1/status/{separated}", timeout=60)

    found = list_metrics(requests.get(f"{service.url}/metrics", timeout=60).text)

    assert found == frozen.REST_METRICS


def test_metrics_of_a_worker_have_these_names_and_labels() -> None:
    counts = WorkerMetrics()
    counts.loaded("lite", 1.0)
    counts.separated(replace(report(), device="cpu", real_time_factor=1.0))

    text = generate_latest(counts.registry).decode()

    assert list_metrics(text) == frozen.WORKER_METRICS
    assert " ".join(sorted(set(re.findall(r'result="(\w+)"', text)))) == frozen.JOB_RESULTS


# The client, its command and the sample scripts

# Each class with its base, each member with its parameters, or with its value or kind.
CLIENT = {
    "BadSong": "Refused",
    "Busy": "Refused",
    "Client": "object",
    "Client.__init__": "(self, address='localhost:5000', key=None)",
    "Client.__enter__": "(self)",
    "Client.separate": "(self, song, model=None, callback=None, *, wait=False, on_progress=None, **options)",
    "Client.job": "(self, songhash)",
    "Client.status": "(self, song)",
    "Client.wait": "(self, song, timeout=None, on_progress=None)",
    "Client.download": "(self, song, folder, stem=None)",
    "Client.place_for": "(self, status, out, name='', taken=())",
    "Client.save": "(self, tracks, folder)",
    "Client.mix": "(self, song, path, gains=None, start=None, end=None, tempo=1, transpose=0)",
    "Client.remove": "(self, song, stem=None)",
    "Client.queue": "(self)",
    "Client.models": "(self)",
    "Failed": "MsasError",
    "Failed.__init__": "(self, detail, code)",
    "Job": "object",
    "Job.__init__": "(self, client, songhash)",
    "Job.status": "(self)",
    "Job.wait": "(self, timeout=None, on_progress=None)",
    "Job.download": "(self, folder, stem=None)",
    "Job.remove": "(self)",
    "Model": "object",
    "Model.__init__": (
        "(self, name, stems, about, default, licence='', origin='', size_mb=None, quality='', cached=True, "
        "seconds_per_minute=None)"
    ),
    "Model.all_from_json": "(found)",
    "Model.cached": "bool",
    "Model.licence": "",
    "Model.origin": "",
    "Model.quality": "",
    "Model.seconds_per_minute": "NoneType",
    "Model.size_mb": "NoneType",
    "MsasError": "Exception",
    "MsasError.code": "error",
    "NotFound": "Refused",
    "NotReachable": "MsasError",
    "NotReachable.code": "not_reachable",
    "NotReady": "Refused",
    "Refused": "MsasError",
    "Refused.__init__": "(self, detail, code, status, retry_after=None)",
    "Status": "object",
    "Status.__init__": (
        "(self, songhash, state, stage, progress, queue_position, eta_seconds, attempt, model, name, tracks, error, "
        "tempo_bpm=None, tempo_confidence=None, key=None, key_confidence=None)"
    ),
    **{f"Status.{name}": "NoneType" for name in ("tempo_bpm", "tempo_confidence", "key", "key_confidence")},
    "Status.over": "property",
    "Status.from_json": "(found)",
    "Status.as_json": "(self)",
    "Track": "object",
    "Track.__init__": "(self, name, url, bytes, seconds)",
    "Track.extension": "property",
    "Unauthorized": "Refused",
}
# The command: its arguments, flags and exit statuses in the order of its help.
COMMANDS = {
    "msas": "-h --help --version COMMAND separate status queue get mix rm models 0 1 2 3 130",
    "msas separate": (
        "SONG -h --help --json -o --out --rest --key -n --name --model --stems --two-stems --format --mp3-bitrate "
        "--bit-depth --overlap --shifts --mp3 --flac --int24 --float32 --residual 0 1 2 3 130"
    ),
    "msas status": "HASH -h --help --json --rest --key 0 1 2 3 130",
    "msas queue": "-h --help --json --rest --key 0 1 2 3 130",
    "msas get": "HASH -h --help --json -o --out --rest --key 0 1 2 3 130",
    "msas rm": "HASH STEM -h --help --json --rest --key 0 1 2 3 130",
    "msas models": "-h --help --json --rest --key 0 1 2 3 130",
}
SHORT_SAMPLE_OUTPUT = """\
POST /apiv1/separate answered 200
{
    "hash": "SONGHASH",
    "model": "lite",
    "reason": "Song already separated",
    "status": "succeeded"
}
GET /apiv1/queue/ answered 200
{
    "queue": [],
    "running": [],
    "waiting_retry": []
}
"""
LONGER_SAMPLE_OUTPUT = (
    'POST /apiv1/separate answered 200 { "hash" "model" "reason" "status" } '
    'GET /apiv1/queue answered 200 { "queue" "running" "waiting_retry" } '
    'GET /apiv1/status/SONGHASH answered 200 { "attempt" "callback" "ended_at" "enqueued_at" "error" "eta_seconds" '
    '"hash" "key" "key_confidence" "loading" "mixture" "model" "name" "options" "progress" "queue_position" "report" '
    '"seconds" "stage" "started_at" "status" "tempo_bpm" "tempo_confidence" "tracks" }'
)
NO_ANSWER = "Nobody answers at 127.0.0.1:1; is the service up, and REST=host:port right?\n"
SAMPLE_ERRORS = {
    "short-sample-request.py absent": "There is no file absent; give one: python short-sample-request.py SONG\n",
    "short-sample-request.py FOLDER/song.wav": NO_ANSWER,
    "sample-requests.py absent": "There are no songs in absent; give a folder: python sample-requests.py FOLDER\n",
    "sample-requests.py FOLDER": NO_ANSWER,
}


def render(function: Callable[..., Any]) -> str:
    """Return the parameters with their defaults, without annotations."""
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def list_members(name: str) -> Iterator[tuple[str, str]]:
    """Yield a class of the client with its base, and each public member that it defines itself."""
    kind: type = getattr(msas_client, name)
    yield name, cast(type, kind.__base__).__name__
    for member in vars(kind):
        value = getattr(kind, member)
        if member in ("__init__", "__enter__") or not member.startswith("_"):
            shown = value if isinstance(value, str) else type(value).__name__
            yield f"{name}.{member}", render(value) if callable(value) else shown


def test_client_package_has_these_classes_members_and_parameters() -> None:
    found = dict(member for name in msas_client.__all__ for member in list_members(name))

    assert found == CLIENT


def test_client_objects_carry_these_attributes() -> None:
    client, refused = msas_client.Client("host:1"), msas_client.Refused("Why.", "code", 503, 2.0)

    assert (client.url, str(client.job("songhash"))) == ("http://host:1", "songhash")
    assert vars(refused) == {"code": "code", "status": 503, "retry_after": 2.0}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_these_flags_and_subcommands(command: str) -> None:
    msas = Path(sys.executable).with_name("msas")

    done = subprocess.run([msas, *command.split()[1:], "--help"], capture_output=True, text=True, timeout=120)

    found = re.findall(r"(?m)^(?:  |    )(\w+|-\S.*?)(?:  |$)", done.stdout)
    assert " ".join(re.findall(r"(?<!\S)--?[a-z][\w-]*|^\w+$", "\n".join(found), re.MULTILINE)) == COMMANDS[command]


def run_sample(address: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT / "client",
        env={**os.environ, "REST": address},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_short_sample_prints_the_answers_about_a_song_and_the_queue(
    service: Service, separated: str, fixed_song: Path
) -> None:
    done = run_sample(service.address, "short-sample-request.py", fixed_song)

    printed = re.sub(r"\[[^]]*\]", "[]", done.stdout.replace(separated, "SONGHASH"))
    assert (printed, done.stderr, done.returncode) == (SHORT_SAMPLE_OUTPUT, "", 0)


def test_longer_sample_prints_the_answers_about_each_song_of_a_folder(
    service: Service, separated: str, fixed_song: Path
) -> None:
    done = run_sample(service.address, "sample-requests.py", fixed_song.parent)

    printed = done.stdout.replace(separated, "SONGHASH")
    lines = re.findall(r'(?m)^(\S+ /.*|\{|\}|    "\w+"(?=:))', printed)
    assert (" ".join(" ".join(lines).split()), done.stderr, done.returncode) == (LONGER_SAMPLE_OUTPUT, "", 0)


@pytest.mark.parametrize("command", SAMPLE_ERRORS)
def test_sample_that_can_not_go_on_prints_this_error(fixed_song: Path, command: str) -> None:
    script, argument = command.split()

    done = run_sample("127.0.0.1:1", script, argument.replace("FOLDER", str(fixed_song.parent)))

    assert (done.stderr, done.returncode) == (SAMPLE_ERRORS[command], 1)
