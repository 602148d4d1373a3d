"""A job as its callers see it, read from the fields that the queue keeps of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from msas.job import Job, Status
from msas.models import stem_order
from msas.queue.callback_record import described, fields_of_callback

MIXTURE = "mixture"  # the name under which the song itself lies beside its stems, encoded as they are


@dataclass(frozen=True)
class Track:
    """A stem as it lies in the store: its name, file extension, size in bytes and length in seconds."""

    name: str
    extension: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class JobView:
    """A job's status at one moment. `position` counts from 1, the next to be taken; None unless it is in line.

    `error` says why it failed, or why it is being tried again; `callback` how those who wait for its end are told;
    `owners` are the names of the keys that sent it; `version` changes with each end and each stem that is removed.
    The `report` on a job that succeeded, and what is read from it, is in the store: msas/results.py adds it.
    """

    songhash: str
    status: Status
    model: str | None
    name: str
    seconds: float | None
    attempt: int
    stage: str | None
    progress: float
    position: int | None
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    tracks: tuple[Track, ...]
    options: dict[str, Any] | None
    report: dict[str, Any] | None
    error: dict[str, str] | None
    callback: dict[str, Any] | None = None
    owners: frozenset[str] = frozenset()
    version: str = ""

    def with_report(self, report: dict[str, Any]) -> JobView:
        """Return the status of this job, which succeeded, together with what its report tells."""
        return replace(
            self,
            model=report["model"],
            name=report["name"],
            options=report["options"],
            seconds=self.seconds or report.get("song", {}).get("seconds"),
            tracks=tuple(tracks_of(report)),
            report=report,
        )

    @property
    def mixture(self) -> Track | None:
        """The song itself, encoded as its stems are; None where there is none (yet)."""
        if not self.report or MIXTURE not in self.report:
            return None
        found = self.report[MIXTURE]
        return Track(MIXTURE, self.report["options"]["format"], found["bytes"], found["seconds"])

    @property
    def tag(self) -> str:
        """What the names of its objects in the store contain; empty where they are plain."""
        return str((self.report or {}).get("tag", ""))


def tracks_of(report: Mapping[str, Any]) -> list[Track]:
    """Return the stems that a worker's report names, in the order in which stems are listed."""
    extension, stems = report["options"]["format"], report["stems"]
    return [Track(name, extension, stems[name]["bytes"], stems[name]["seconds"]) for name in stem_order(stems)]


def without_stem(report: Mapping[str, Any], stem: str) -> dict[str, Any]:
    """Return a report that names the stem among those that were removed."""
    stems = {name: about for name, about in report["stems"].items() if name != stem}
    return {**report, "stems": stems, "removed": sorted({*report.get("removed", []), stem})}


def fields_of_job(job: Job) -> list[str]:
    """Return what is kept of a job from its beginning, as field, value, field, value."""
    fields = ["name", job.name, "model", job.options.model if job.options else ""]
    more = {"seconds": job.seconds, "owner": job.owner}
    fields += [str(x) for name, value in more.items() if value for x in (name, value)]
    fields += fields_of_callback(job.callback, job.owner)
    return [*fields, "options", json.dumps(asdict(job.options))] if job.options else fields


def build_job_view(songhash: str, fields: Mapping[str, bytes], position: int | None) -> JobView:
    """Read a job's fields; `position` is its place in the line."""

    def text(name: str) -> str | None:
        return fields[name].decode() if name in fields else None

    def content(name: str) -> dict[str, Any] | None:
        return json.loads(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(float(fields[name]) / 1000, UTC) if name in fields else None

    status = Status(fields["status"].decode())
    return JobView(
        songhash=songhash,
        status=status,
        model=text("model") or None,
        name=text("name") or "",
        seconds=float(fields["seconds"]) if "seconds" in fields else None,
        attempt=int(fields.get("attempt", 0)),
        stage=text("stage") if status is Status.RUNNING else None,
        progress=1.0 if status is Status.SUCCEEDED else float(fields.get("progress", 0)),
        position=position,
        enqueued_at=moment("enqueued_at"),
        started_at=moment("started_at"),
        ended_at=moment("ended_at"),
        tracks=(),
        options=content("options"),
        report=None,
        error=content("error"),
        callback=described(songhash, fields),
        owners=frozenset((text("owners") or text("owner") or "").split()),
        version=f"{text('ended_at') or ''} {text('pruned') or '0'}",
    )
