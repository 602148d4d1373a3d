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
    ghost: bool = False,
    owner: str = "",
) -> str:
    """Stop the job wherever it is, and remove its song and all that was made of it.

    With `ended_before`, in ms of Redis' clock, only a job that ended by then, or that Redis does not know.
    With `owner`, only a job of that owner; where it has others, too, it is taken away from this one alone.
    A `ghost` came back although it was removed; where somebody sent its song anew just now, that stays.
    Returns what `Queue.cancel` does; where Redis knew nothing of the job but the store did, 'forgotten'.
    A worker that has the job in hands learns of it with its next beat, and removes what it stored since.
    """
    remover = secrets.token_hex(16)
    outcome = queue.cancel(songhash, remover, ended_before, owner)
    if outcome == "shared":
        store.remove_owner(songhash, owner)
    if outcome in ("busy", "kept", "shared") or (owner and not outcome):
        return outcome
    try:
        objects, size = (0, 0) if ghost and store.message(songhash) else store.remove_song(songhash)
    except BaseException:
        queue.delete_cancelled(songhash, remover, removed=False)
        raise
    queue.delete_cancelled(songhash, remover)
    UpkeepRecord(queue).note_stored(-size)
    return outcome or ("forgotten" if objects else "")
