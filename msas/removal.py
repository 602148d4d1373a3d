"""Removes a job and all of its objects, from Redis and from the store."""

from __future__ import annotations

import secrets

from msas.queue import Queue, UpkeepRecord
from msas.store import Store


def remove(
    queue: Queue,
    store: Store,
    songhash: str,
    ended_before: int | None = None,
    *,
    reappeared: bool = False,
    owner: str = "",
) -> str:
    """Cancel the job in any status, and delete its song and everything that was made of it.

    With `ended_before`, in ms of Redis' clock, only a job that ended by then, or that Redis does not know.
    With `owner`, only a job of this owner; a job that has other owners as well is removed for this owner only.
    With `reappeared`, a job that was removed before: its objects stay if its song was sent again meanwhile.
    Returns the answer of `Queue.cancel`; 'forgotten' where Redis did not know the job, but the store had objects.
    A worker that runs the job learns of it when it renews its lease, and deletes what it stored meanwhile.
    """
    remover = secrets.token_hex(16)
    outcome = queue.cancel(songhash, remover, ended_before, owner)
    if outcome == "shared":
        store.remove_owner(songhash, owner)
    if outcome in ("busy", "kept", "shared") or (owner and not outcome):
        return outcome
    try:
        objects, size = (0, 0) if reappeared and store.message(songhash) else store.remove_song(songhash)
    except BaseException:
        queue.delete_cancelled(songhash, remover, removed=False)
        raise
    queue.delete_cancelled(songhash, remover)
    UpkeepRecord(queue).note_stored(-size)
    return outcome or ("forgotten" if objects else "")


def remove_ended(queue: Queue, store: Store, songhash: str, ended_before: int, *, reappeared: bool = False) -> bool:
    """Remove a job that ended by then, or that Redis does not know; return whether this call removed it."""
    return remove(queue, store, songhash, ended_before, reappeared=reappeared) not in ("busy", "kept")
