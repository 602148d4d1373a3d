"""A job in the fields of Redis: writes those of a new job, and reads them as the JobView that callers see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from msas.job import Job, Stage, Status
from msas.options import Options
from msas.queue.callback_record import callback_fields, describe_callbacks
from msas.report import Report, Stem


@dataclass(frozen=True)
class JobView:
    """A job at one moment. `queue_position` is its place in the queue, from 1; None unless it waits there.

    `progress` is 0 to 1. `error` says why the job failed, or why it is tried again. `callback` describes the delivery
    of its callbacks. `owners` are the names of the keys that sent it. `version` changes when the job ends and when a
    stem is removed. The `report` of a job that succeeded is in the store; rest/job_reader.py adds it.
    """

    songhash: str
    status: Status
    model: str | None
    name: str
    seconds: float | None
    attempt: int
    stage: Stage | None
    progress: float
    queue_position: int | None
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    options: Options | None
    report: Report | None
    error: dict[str, str] | None
    callback: dict[str, Any] | None = None
    owners: frozenset[str] = frozenset()
    version: str = ""

    def with_report(self, report: Report) -> JobView:
        """Return this job, which succeeded, together with what its report says."""
        seconds = self.seconds or (report.song.seconds if report.song else None)
        return replace(
            self, report=report, model=report.model, name=report.name, options=report.options, seconds=seconds
        )

    @property
    def tracks(self) -> tuple[Stem, ...]:
        """The job's stems in the order in which the API lists them; none before it has succeeded."""
        return self.report.tracks if self.report else ()

    @property
    def mixture(self) -> Stem | None:
        """The song itself, encoded as its stems are; None where there is none (yet)."""
        return self.report.mixture if self.report else None

    @property
    def tag(self) -> str:
        """The part of the names of its objects in the store that tells attempts apart; empty for plain names."""
        return self.report.tag if self.report else ""

    @property
    def has_ended(self) -> bool:
        return self.status not in (Status.QUEUED, Status.RUNNING)


def job_fields(job: Job) -> list[str]:
    """Return the fields that Redis keeps of a new job, as field, value, field, value."""
    fields = ["name", job.name, "model", job.options.model if job.options else ""]
    more = {"seconds": job.seconds, "owner": job.owner}
    fields += [str(x) for name, value in more.items() if value for x in (name, value)]
    fields += callback_fields(job.callback, job.owner)
    return [*fields, "options", json.dumps(job.options.to_json())] if job.options else fields


def build_job_view(songhash: str, fields: Mapping[str, bytes], position: int | None) -> JobView:
    """Read a job's fields; `position` is its place in the queue."""

    def text(name: str) -> str | None:
        return fields[name].decode() if name in fields else None

    def content(name: str) -> dict[str, Any] | None:
        return json.loads(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(float(fields[name]) / 1000, UTC) if name in fields else None

    status, options = Status(fields["status"].decode()), content("options")
    return JobView(
        songhash=songhash,
        status=status,
        model=text("model") or None,
        name=text("name") or "",
        seconds=float(fields["seconds"]) if "seconds" in fields else None,
        attempt=int(fields.get("attempt", 0)),
        stage=Stage(fields["stage"].decode()) if status is Status.RUNNING and "stage" in fields else None,
        progress=1.0 if status is Status.SUCCEEDED else float(fields.get("progress", 0)),
        queue_position=position,
        enqueued_at=moment("enqueued_at"),
        started_at=moment("started_at"),
        ended_at=moment("ended_at"),
        options=Options.from_json(options) if options else None,
        report=None,
        error=content("error"),
        callback=describe_callbacks(songhash, fields),
        owners=frozenset((text("owners") or text("owner") or "").split()),
        version=f"{text('ended_at') or ''} {text('pruned') or '0'}",
    )
