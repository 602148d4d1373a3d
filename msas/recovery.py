"""What Redis forgot, or never heard of, comes back from the store."""

from __future__ import annotations

from msas.queue import Queue
from msas.removal import remove
from msas.store import Store


def publish_again(queue: Queue, store: Store, songhash: str, *, pruned_too: bool = False) -> bool:
    """Note the job as succeeded where it lies finished in the store; return whether it was noted.

    Without `pruned_too`, only where no stem was removed: one that waits, waits to be separated again.
    """
    found = store.published(songhash)
    if found is None or ("removed" in found[0] and not pruned_too):
        return False
    if not queue.publish(songhash, int(found[1].timestamp() * 1000), is_pruned="removed" in found[0]):
        return False
    if owners := store.owners(songhash):
        queue.add_owners(songhash, owners)
    if store.report(songhash) is None:
        remove(queue, store, songhash, ghost=True)  # it was removed just when it was published
    return True
