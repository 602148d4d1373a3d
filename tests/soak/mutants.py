"""A pytest plugin that removes one safeguard of the queue, which MUTANT names; the queue's tests must fail then.

`MUTANT="settle: token is not compared" pytest -p tests.soak.mutants tests/queue`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msas.queue import Consumer, Leader, Queue, connection


@dataclass(frozen=True)
class Line:
    """A mutation of a Lua script: `line` becomes `instead`."""

    script: str
    line: str
    instead: str = ""

    def apply(self) -> None:
        """Change the scripts of this process. Raises AssertionError unless the script has the line exactly once."""
        folder = Path(tempfile.mkdtemp(prefix="msas-mutant-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        scripts = Path(shutil.copytree(connection._SCRIPTS, folder / "scripts"))
        path = scripts / f"{self.script}.lua"
        text = path.read_text()
        assert text.count(self.line) == 1, f"{path.name} has {text.count(self.line)} lines {self.line!r}"
        path.write_text(text.replace(self.line, self.instead))
        connection._SCRIPTS = scripts


@dataclass(frozen=True)
class Method:
    """A mutation of a class: `instead` becomes its method `name`."""

    owner: type
    name: str
    instead: Callable[..., Any]

    def apply(self) -> None:
        assert hasattr(self.owner, self.name)
        setattr(self.owner, self.name, self.instead)


def pop_in_two_calls(self: Consumer, _listening: AbstractContextManager[None]) -> Any:
    """Pop the next message and then store it, so that Redis has it nowhere in between."""
    redis: Any = self.queue.redis
    with connection.translate_errors():
        held = redis.lindex(self.run_key, -1)
        if held is None and (held := redis.rpop(self.queue.name)):
            redis.lpush(self.run_key, held)
    return held


def pop_without_a_look_into_the_own_list(self: Consumer, _listening: AbstractContextManager[None]) -> Any:
    with connection.translate_errors():
        return self._blocking.blmove(self.queue.name, self.run_key, 0.01, "RIGHT", "LEFT")  # type: ignore[arg-type]


def do_nothing(*_: object) -> None:
    """Replace a method whose effect must be missed."""


MUTATIONS: dict[str, Line | Method] = {
    "claim: a reclaimed message is claimed": Line(
        "claim", "if not redis.call('LPOS', run_key(ARGV[1]), ARGV[2]) then return 0 end"
    ),
    "claim: a repeated claim is a new one": Line("claim", "if token == ARGV[3] then return tonumber(attempt) end"),
    "claim: strays are not forgotten": Line("claim", "redis.call('HDEL', STRAYS, digest)"),
    "claim: attempts are not counted": Line("claim", "'attempt', is_own and 0 or 1)", "'attempt', attempt and 0 or 1)"),
    "claim: an ended job is claimed": Line(
        "claim",
        "if status and status ~= 'queued' and not holder_lost and not is_own then",
        "if status == 'running' and not holder_lost and not is_own then",
    ),
    "claim: a job of a holder without its message is not claimed": Line(
        "claim", "and not holder_lost and not is_own then", "and not is_own then"
    ),
    "claim: a dropped copy stays in the list": Line(
        "claim", "redis.call('LREM', run_key(ARGV[1]), 1, ARGV[2])\n  if holder", "if holder"
    ),
    "claim: a cancelled job keeps its worker": Line(
        "claim", "if holder == ARGV[1] then redis.call('HDEL', key, 'worker') end"
    ),
    "claim: the digest is not noted": Line("claim", "redis.call('HSET', CLAIMS, ARGV[1], ARGV[4] .. ' ' .. digest)"),
    "settle: token is not compared": Line("settle", "if token ~= ARGV[2] then return 'lost' end"),
    "settle: token is not remembered": Line("settle", "redis.call('HSET', key, 'settled', token)"),
    "settle: a cancelled job succeeds": Line(
        "settle", "if status == 'cancelled' and outcome ~= 'cancelled' then return 'cancelled' end"
    ),
    "settle: the message stays in the list": Line("settle", "redis.call('LREM', run_key(ARGV[3]), 1, ARGV[4])"),
    "settle: a released job goes to the end of the line": Line(
        "settle", "put_in_line(ARGV[1], ARGV[4], true)", "put_in_line(ARGV[1], ARGV[4])"
    ),
    "settle: a released job loses an attempt": Line(
        "settle", "requeue(ARGV[1], ARGV[4])\n  redis.call('HINCRBY', key, 'attempt', -1)", "requeue(ARGV[1], ARGV[4])"
    ),
    "settle: a job may wait once more": Line("settle", "1), MOST_WAITS, ARGV[7])", "1), MOST_WAITS + 1, ARGV[7])"),
    "settle: a cancelled job is forgotten before its remover has dropped it": Line(
        "settle", "elseif outcome == 'cancelled' and removing then", "elseif false then"
    ),
    "settle: an unknown outcome takes the message away": Line(
        "settle",
        "if not OUTCOMES[outcome] then return redis.error_reply('ERR unknown outcome: ' .. outcome) end",
    ),
    "renew: token is not compared": Line(
        "renew", "if token ~= ARGV[3] then return 'lost' end", "if not token then return 'lost' end"
    ),
    "renew: a cancelled job is renewed": Line("renew", "if status ~= 'running' then return status end"),
    "renew: the lease is half as long": Line("renew", "NOW + LEASE,", "NOW + LEASE / 2,"),
    "reclaim: no new leases after an outage": Line(
        "reclaim", "if NOW < last or last + LEASE < NOW then", "if false then"
    ),
    "reclaim: no new leases after the clock was set back": Line(
        "reclaim", "if NOW < last or last + LEASE < NOW then", "if last + LEASE < NOW then"
    ),
    "reclaim: a clock that was set back delays jobs": Line(
        "reclaim", ", { '+inf', '(' .. NOW + LONGEST_RETRY } }) do", "}) do"
    ),
    "reclaim: the holder of the job is not compared": Line(
        "reclaim", "local running = status == 'running' and holder == worker", "local running = status == 'running'"
    ),
    "reclaim: each call is due": Line("reclaim", "if last <= NOW and NOW < last + LEASE / 6 then return end"),
    "reclaim: a lost worker is forgotten at once": Line(
        "reclaim",
        "if tonumber(redis.call('ZSCORE', WORKERS, worker)) < NOW - FORGET then forget(worker) end",
        "forget(worker)",
    ),
    "reclaim: a lost worker is never forgotten": Line(
        "reclaim", "if tonumber(redis.call('ZSCORE', WORKERS, worker)) < NOW - FORGET then forget(worker) end"
    ),
    "reclaim: a message may lose workers for ever": Line("reclaim", "if strays < MOST_STRAYS then", "if true then"),
    "reclaim: a stray that is buried leaves its job queued": Line(
        "reclaim", "if status == 'queued' then finish(songhash, 'failed', NOW, 'error', LOST) end"
    ),
    "reclaim: a lost worker keeps its cancelled job": Line(
        "reclaim", "elseif holder == worker then", "elseif false then"
    ),
    "reclaim: a due job stays delayed as well": Line("reclaim", "redis.call('ZREM', DELAYED, message)"),
    "reclaim: delayed jobs are due at once": Line("reclaim", "{ { NOW, '-inf' }", "{ { '+inf', '-inf' }"),
    "enqueue: a delayed job is enqueued again": Line("enqueue", " or redis.call('ZSCORE', DELAYED, message)"),
    "enqueue: a taken job is enqueued again": Line(
        "enqueue", "if redis.call('LPOS', run_key(worker), message) then return true end"
    ),
    "enqueue: a job in its owner's line is enqueued again": Line(
        "enqueue", "redis.call('ZSCORE', line_key(owner_of(ARGV[1])), ARGV[1]) and owner_of(ARGV[1]) ~= ''\n    or "
    ),
    "enqueue: no bounds": Line("enqueue", "if bound ~= '' then return { 0, bound, 0 } end"),
    "enqueue: a job is not charged": Line("enqueue", "charge(ARGV[1], owner, cost)"),
    "enqueue: a cancelled job is enqueued again": Line("enqueue", "status == 'cancelled' or "),
    "enqueue: a pruned job is not enqueued again": Line("enqueue", " and not pruned"),
    "enqueue: fields of the failed job stay": Line("enqueue", "redis.call('DEL', key)"),
    "enqueue: an enqueued job counts as removed": Line("enqueue", "redis.call('ZREM', REMOVED, ARGV[1])"),
    "enqueue: an enqueued job counts as ended": Line("enqueue", "redis.call('ZREM', ENDED, ARGV[1])"),
    "cancel: two removers at once": Line(
        "cancel", "if removing and tonumber(removing) > NOW and remover ~= ARGV[2] then return 'busy' end"
    ),
    "cancel: a removal belongs to its remover for ever": Line("cancel", "tonumber(removing) > NOW and "),
    "cancel: a popped message stays": Line("cancel", "if status == 'queued' and copies == 0 then", "if false then"),
    "cancel: a job that ended too late is removed": Line("cancel", " or tonumber(ended) > tonumber(ARGV[3])"),
    "prelude: a delayed message of a cancelled job stays": Line("prelude", " + redis.call('ZREM', DELAYED, message)"),
    "prelude: a foreign copy of a cancelled job's message stays": Line(
        "prelude", " + redis.call('LREM', QUEUE, 0, message)"
    ),
    "prelude: a cancelled job that was popped counts as one that waited": Line(
        "prelude", "if owner == '' then copies = 0 end"
    ),
    "cancel: the share is not given back": Line("cancel", "refund(ARGV[1])"),
    "cancel: removals are not counted": Line("cancel", "next_number('removals')"),
    "cancel: a removed job is not remembered": Line("cancel", "redis.call('ZADD', REMOVED, NOW, ARGV[1])"),
    "delete_cancelled: any remover drops": Line("delete_cancelled", " or remover ~= ARGV[2]"),
    "delete_cancelled: a job in a worker's hands is forgotten": Line(
        "delete_cancelled", "if worker or ARGV[3] ~= '1' then", "if ARGV[3] ~= '1' then"
    ),
    "delete_cancelled: a job whose objects are left is forgotten": Line(
        "delete_cancelled", "if worker or ARGV[3] ~= '1' then", "if worker then"
    ),
    "restore_result: a job in work is published": Line(
        "restore_result", "elseif status and status ~= 'failed' or", "elseif status == 'succeeded' or"
    ),
    "restore_result: a taken job is published": Line(
        "restore_result", " == 0 then return 0 end", " < 0 then return 0 end"
    ),
    "prelude: the error stays": Line(
        "prelude", "'progress', 'error', 'waits', 'lost')", "'progress', 'waits', 'lost')"
    ),
    "note_stem_removed: an unfinished job is pruned": Line(
        "note_stem_removed", "if status ~= 'succeeded' then return 0 end"
    ),
    "dead_letter: a repeated burial is a second dead letter": Line("dead_letter", " == 1 then", " >= 0 then"),
    "take_callbacks: a callback is not held": Line("take_callbacks", "redis.call('ZADD', CALLBACKS, hold, member)"),
    "take_callbacks: callbacks of unfinished jobs are due": Line(
        "take_callbacks",
        "if callback and (status == 'succeeded' or status == 'failed') then",
        "if callback and status then",
    ),
    "take_callbacks: full hosts get callbacks": Line(
        "take_callbacks", "if not full[host] then return host end", "return host"
    ),
    "take_callbacks: the first host is always first": Line("take_callbacks", "redis.call('LREM', HOSTS, 1, host)"),
    "take_callbacks: a call sorts all callbacks": Line("take_callbacks", "if sorted >= MOST then break end"),
    "take_callbacks: a call passes over all callbacks that are gone": Line(
        "take_callbacks", " and popped < MOST do", " do"
    ),
    "take_callbacks: a hold that is over is valid": Line("take_callbacks", "redis.call('HDEL', key, 'held:' .. id)"),
    "note_callback: anybody notes": Line(
        "note_callback", "if redis.call('HGET', key, 'held:' .. id) ~= ARGV[3] then return 0 end"
    ),
    "note_callback: a delivered callback counts as waiting": Line(
        "note_callback", "redis.call('HDEL', key, 'callback:' .. id, 'owner:' .. id)"
    ),
    "add_callback: a waiting callback is added again": Line(
        "add_callback", "if redis.call('HEXISTS', key, 'callback:' .. id) == 1 then return 'ok' end"
    ),
    "add_callback: no limit": Line("add_callback", "#pending >= most or "),
    "add_callback: an ended job's callback is not due": Line(
        "add_callback", "redis.call('ZADD', CALLBACKS, NOW, ARGV[1] .. id)"
    ),
    "add_callback: the last delivery is kept": Line("add_callback", "redis.call('HDEL', key, 'delivery:' .. id)"),
    "add_callback: callbacks are not counted": Line("add_callback", "count_callbacks(key, 1, id)"),
    "enqueue: callbacks are not counted": Line("enqueue", "count_callbacks(key, 1)"),
    "enqueue: dropped callbacks count on": Line("enqueue", "count_callbacks(key, -1)"),
    "claim: a claimed job stays in its line": Line("claim", "redis.call('ZREM', line_key(owner_of(ARGV[4])), ARGV[4])"),
    "claim: the list stays empty": Line("claim", "unpark(ARGV[4])\nrefill_queue()", "unpark(ARGV[4])"),
    "claim: callbacks are not counted": Line("claim", "count_callbacks(key, 1)"),
    "settle: dropped callbacks count on": Line("settle", "count_callbacks(key, -1)"),
    "delete_cancelled: dropped callbacks count on": Line("delete_cancelled", "count_callbacks(job_key(ARGV[1]), -1)"),
    "note_callback: dropped callbacks count on": Line("note_callback", "count_callbacks(key, -1, id)"),
    "prelude: the delay does not double": Line("prelude", "RETRY * 2 ^ (tries - 1)", "RETRY"),
    "prelude: the delay has no limit": Line(
        "prelude", "math.min(RETRY * 2 ^ (tries - 1), LONGEST_RETRY)", "RETRY * 2 ^ (tries - 1)"
    ),
    "prelude: four attempts": Line("prelude", "MOST_LOST = 3,", "MOST_LOST = 4,"),
    "prelude: an ended job keeps its message": Line(
        "prelude", "'message', 'token', 'worker', 'stage', 'avoid')", "'token')"
    ),
    "prelude: the list stays empty": Line("prelude", "if message then redis.call('RPUSH', QUEUE, message) end"),
    "prelude: an owner's jobs do not reach an empty list": Line(
        "prelude", "owner)\n  refill_queue()\nend", "owner)\nend"
    ),
    "prelude: the list has no turn": Line(
        "prelude", "if owner == '' and redis.call('EXISTS', QUEUE) == 1 then return nil end"
    ),
    "prelude: an owner keeps the turn": Line(
        "prelude", "redis.call('ZADD', RING, next_number('turn'), owner)\n    else", "local _ = owner\n    else"
    ),
    "prelude: an owner whose line is empty stays in the ring": Line("prelude", "redis.call('ZREM', RING, owner)"),
    "prelude: an owner that comes again loses the turn": Line(
        "prelude", "redis.call('ZADD', RING, 'NX', next", "redis.call('ZADD', RING, next"
    ),
    "prelude: a job that comes back goes to the end of its line": Line(
        "prelude", "first and first - 1 or number", "number"
    ),
    "prelude: a job that ended stays in its line": Line(
        "prelude", "redis.call('ZREM', line_key(owner_of(songhash)), songhash)\n  unpark(songhash)", "unpark(songhash)"
    ),
    "prelude: jobs in lines do not count as waiting": Line(
        "prelude", "if owner ~= '' then count = count + redis.call('ZCARD', line_key(owner)) end"
    ),
    "prelude: delayed jobs do not count as waiting": Line("prelude", " + redis.call('ZCARD', DELAYED)"),
    "prelude: one job more than an owner's share": Line("prelude", "is_over(jobs + 1,", "is_over(jobs + 0,"),
    "prelude: the cost is not bounded": Line("prelude", " or is_over(costs + cost, most_cost)"),
    "prelude: a share of those without an owner": Line("prelude", "if owner ~= '' and (is_over", "if (is_over"),
    "prelude: a share is given back twice": Line("prelude", "redis.call('HDEL', key, 'charged')"),
    "prelude: shares are not given back": Line("prelude", "if not cost then return end", "if true then return end"),
    "prelude: costs are not given back": Line("prelude", "redis.call('HINCRBYFLOAT', COSTS, owner, '-' .. cost)"),
    "prelude: the cost of an owner without jobs stays": Line("prelude", "redis.call('HDEL', COSTS, owner)"),
    "take_next: a second message is taken": Line("take_next", "if in_hand then return in_hand end"),
    "take_next: the list is not refilled after a worker that blocked": Line(
        "take_next", "refill_queue() -- BLMOVE may have emptied the list"
    ),
    "take_next: the list has no turn": Line("take_next", "redis.call('ZADD', RING, 'NX', next_number('turn'), '')"),
    "take_next: the list keeps the turn": Line(
        "take_next", "if not refilled then redis.call('ZADD', RING, next_number('turn'), '') end"
    ),
    "take_next: a job that was moved to the list waits for its owner's next turn": Line(
        "take_next", "local message = not refilled and pop_from_owners()", "local message = pop_from_owners()"
    ),
    "positions: the turns are not looked at": Line("positions", "(before[other] or 0) < (before[owner] or 0)", "false"),
    "positions: other owners are not counted": Line(
        "positions", "ahead = ahead + math.min(length, index + (first and 1 or 0))"
    ),
    "positions: foreign messages are not counted": Line(
        "positions", "elseif owner == '' and foreign ~= 0 then", "elseif false then"
    ),
    "positions: a job that was moved to the list has none": Line(
        "positions", "index, owner = index_in_list(songhash), ''", "return 0"
    ),
    "list_jobs: the page begins a job too late": Line(
        "list_jobs", "math.max(skip - count, 0)", "math.max(skip - count, 1)"
    ),
    "list_jobs: jobs of other owners are listed": Line(
        "list_jobs", "return string.find(' ' .. owners .. ' ', ' ' .. owner .. ' ', 1, true)", "return true"
    ),
    "count_jobs: lost workers are counted": Line(
        "count_jobs", "redis.call('ZCOUNT', WORKERS, NOW, '+inf')", "redis.call('ZCARD', WORKERS)"
    ),
    "pop: in two calls": Method(Consumer, "_next_message", pop_in_two_calls),
    "pop: the own list is not looked at": Method(Consumer, "_next_message", pop_without_a_look_into_the_own_list),
    "deregister: nothing is returned": Method(Consumer, "deregister", do_nothing),
    "acquire_leadership: two lead": Line("acquire_leadership", "if leader and leader ~= ARGV[1] then return 0 end"),
    "acquire_leadership: the time is not renewed": Line("acquire_leadership", "'PX', ARGV[2])", "'PX', ARGV[2], 'NX')"),
    "acquire_leadership: it goes on after another took over": Method(Leader, "keep_leadership", do_nothing),
    "release_leadership: the leader stays": Method(Leader, "release_leadership", do_nothing),
    "release_leadership: another's leadership ends": Line(
        "release_leadership", "if redis.call('GET', LEADER) ~= ARGV[1] then return 0 end"
    ),
    "register_missing_worker: forgotten workers stay unknown": Method(Queue, "register_missing_workers", do_nothing),
}

if chosen := os.environ.get("MUTANT"):
    MUTATIONS[chosen].apply()
