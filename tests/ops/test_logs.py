"""`python -m msas.logs`: every line once, oldest first, whatever becomes of the list and of Redis meanwhile."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from local import Service
from msas.logs import log
from msas.logs.__main__ import ListFollower, format_line
from tests.support.processes import environment_with, eventually, restore_interrupt
from tests.support.rig import Rig


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path / "rig", service.settings) as running:
        yield running


class Follower:
    """The command at work on the rig's Redis; what it says goes to a file."""

    def __init__(self, rig: Rig, folder: Path, stdout: int | IO[bytes] | None = None) -> None:
        self.out, self.errors = folder / "out", folder / "errors"
        with self.out.open("wb") as out, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "msas.logs"],
                env=environment_with(**rig.settings.to_environment()),
                stdout=out if stdout is None else stdout,
                stderr=errors,
                preexec_fn=restore_interrupt,
            )

    def said(self) -> list[str]:
        return self.out.read_text().splitlines()


@contextmanager
def following(rig: Rig, folder: Path) -> Iterator[Follower]:
    follower = Follower(rig, folder)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()


def push(rig: Rig, *lines: str) -> None:
    """Log lines as msas.logs.log does."""
    for line in lines:
        rig.queue.redis.lpush("logging", line)
        rig.queue.redis.ltrim("logging", 0, log.LINES_KEPT - 1)


def test_existing_lines_come_oldest_first_then_each_new_line_once(rig: Rig, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(300)]
    push(rig, *lines[:250])
    with following(rig, tmp_path) as follower:
        eventually(lambda: len(follower.said()) >= 250)
        for line in lines[250:]:
            push(rig, line)
        eventually(lambda: len(follower.said()) >= 300)
        push(rig, "the end")
        eventually(lambda: "the end" in follower.said())
        assert follower.said() == [*lines, "the end"]


def test_a_full_list_is_followed_as_well(rig: Rig, tmp_path: Path) -> None:
    rig.queue.redis.lpush("logging", *(f"old {number}" for number in range(log.LINES_KEPT)))
    with following(rig, tmp_path) as follower:
        eventually(lambda: len(follower.said()) == log.LINES_KEPT)
        new = [f"new {number}" for number in range(500)]  # more than a glance
        rig.queue.redis.lpush("logging", *new)
        push(rig, "the end")
        eventually(lambda: "the end" in follower.said())
        assert follower.said()[log.LINES_KEPT :] == [*new, "the end"]


def test_logs_continue_after_an_outage_of_redis_and_report_it_once(rig: Rig, tmp_path: Path) -> None:
    push(rig, "before")
    with following(rig, tmp_path) as follower:
        eventually(lambda: follower.said() == ["before"])
        rig.redis.process.kill()
        rig.redis.process.wait()
        eventually(lambda: "Waiting for it" in follower.errors.read_text())
        rig.restart_redis()
        push(rig, "after")
        eventually(lambda: follower.said() == ["before", "after"])
        assert len(follower.errors.read_text().splitlines()) == 1


def test_ctrl_c_ends_logs_with_0_and_prints_nothing(rig: Rig, tmp_path: Path) -> None:
    push(rig, "a line")
    with following(rig, tmp_path) as follower:
        eventually(lambda: follower.said() == ["a line"])
        follower.process.send_signal(signal.SIGINT)
        assert follower.process.wait(60) == 0
        assert follower.errors.read_text() == ""


def test_a_closed_pipe_ends_logs_with_0_and_prints_nothing(rig: Rig, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    follower = Follower(rig, tmp_path, writing)
    os.close(writing)
    push(rig, "a line")
    assert os.read(reading, 100) == b"a line\n"
    os.close(reading)
    push(rig, "another")
    assert follower.process.wait(60) == 0
    assert follower.errors.read_text() == ""


def test_on_a_terminal_lines_are_plain_and_escape_sequences_are_escaped(rig: Rig, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    follower = Follower(rig, tmp_path, theirs)
    facts = {"time": "2026-11-23T22:15:09.123+00:00", "service": "rest", "level": "warning", "event": "call"}
    push(rig, json.dumps({**facts, "status": 503, "why": "away \x1b[2J", "songhash": "ab12"}), "no JSON \x1b[31m")
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(ours, 1000)
    follower.process.kill()
    follower.process.wait()
    os.close(ours)
    os.close(theirs)
    assert said.decode().splitlines() == [
        '11-23 22:15:09.123 rest   warning: call status=503 why="away \\u001b[2J" songhash=ab12',
        "no JSON \\x1b[31m",
    ]


@pytest.mark.parametrize("line", [b"[1]", b"{}", b"\xff\xfe", b'{"time": 1, "service": 2, "event": 3}', b"[" * 9999])
def test_lines_of_any_shape_are_shown(line: bytes) -> None:
    assert format_line(line).isprintable()


def test_a_trace_is_shown_below_its_line() -> None:
    line = {"time": "2026-11-23T22:15:09.123+00:00", "service": "worker", "level": "error", "event": "it failed"}
    shown = format_line(json.dumps({**line, "trace": "Traceback\n  at\x1b home"}).encode())
    assert shown == "11-23 22:15:09.123 worker error: it failed\n    Traceback\n      at\\x1b home"


@pytest.mark.parametrize("seed", range(20))
def test_no_line_is_repeated_or_missed_whatever_happens_to_the_list(seed: int) -> None:
    """Redis may lose its newest lines, or all; a line may be logged twice in the same millisecond."""
    random_ = random.Random(seed)
    held, written, seen = list[bytes](), list[bytes](), list[bytes]()
    follower = ListFollower(lambda most: held[:most])
    for turn in range(200):
        for number in range(random_.choice((0, 1, 3, 250))):
            line = f"{turn} {number}".encode()
            new = [line, line] if random_.random() < 0.1 else [line]
            held[:0], written = new, written + new
        del held[log.LINES_KEPT :]
        seen += follower.poll()
        assert seen == written
        event = random_.random()
        if event < 0.1:
            del held[: random_.randrange(5)]
        elif event < 0.12:
            held.clear()
        elif event < 0.3 and len(held) > 50:  # the last line once more, after it was seen
            held[:0], written = [held[0]], [*written, held[0]]
