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

from msas.queue import Leader, Queue, Receiver, connection


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


def pop_in_two_calls(self: Receiver, _listening: AbstractContextManager[None]) -> Any:
    """Pop the next message and then store it, so that Redis has it nowhere in between."""
    redis: Any = self.queue.redis
    with connection.answering():
        held = redis.lindex(self.taken, -1)
        if held is None and (held := redis.rpop(self.queue.name)):
            redis.lpush(self.taken, held)
    return held


def pop_without_a_look_into_the_own_list(self: Receiver, _listening: AbstractContextManager[None]) -> Any:
    with connection.answering():
        return self._blocking.blmove(self.queue.name, self.taken, 0.01, "RIGHT", "LEFT")  # type: ignore[arg-type]


def do_nothing(*_: object) -> None:
    """Replace a method whose effect must be missed."""


MUTATIONS: dict[str, Line | Method] = {
    "claim: a reclaimed message is claimed": Line(
        "claim", "if not redis.call('LPOS', taken_key(ARGV[1]), ARGV[2]) then return 0 end"
    ),
    "claim: a repeated claim is a new one": Line("claim", "if token == ARGV[3] then return tonumber(attempt) end"),
    "claim: strays are not forgotten": Line("claim", "redis.call('HDEL', STRAYS, digest)"),
    "claim: attempts are not counted": Line("claim", "'attempt', mine and 0 or 1)", "'attempt', attempt and 0 or 1)"),
    "claim: an ended job is claimed": Line(
        "claim",
        "if status and status ~= 'queued' and not gone and not mine then",
        "if status == 'running' and not gone and not mine then",
    ),
    "claim: a job of a holder without its message is not claimed": Line(
        "claim", "and not gone and not mine then", "and not mine then"
    ),
    "claim: a dropped copy stays in the list": Line("claim", "redis.call('LREM', taken_key(ARGV[1]), 1, ARGV[2])"),
    "claim: a cancelled job keeps its worker": Line(
        "claim", "if holder == ARGV[1] then redis.call('HDEL', key, 'worker') end"
    ),
    "claim: the digest is not noted": Line("claim", "redis.call('HSET', CLAIMS, ARGV[1], ARGV[4] .. ' ' .. digest)"),
    "settle: token is not compared": Line("settle", "if token ~= ARGV[2] then return 'lost' end"),
    "settle: token is not remembered": Line("settle", "redis.call('HSET', key, 'settled', token)"),
    "settle: a cancelled job succeeds": Line(
        "settle", "if status == 'cancelled' and outcome ~= 'cancelled' then return 'cancelled' end"
    ),
    "settle: the message stays in the list": Line("settle", "redis.call('LREM', taken_key(ARGV[3]), 1, ARGV[4])"),
    "settle: the error stays": Line("settle", "redis.call('HDEL', key, 'error')"),
    "settle: a released job goes to the end of the line": Line(
        "settle", "put_in_line(ARGV[1], ARGV[4], true)", "put_in_line(ARGV[1], ARGV[4])"
    ),
    "settle: a released job loses an attempt": Line(
        "settle", "open(ARGV[1], ARGV[4])\n  redis.call('HINCRBY', key, 'attempt', -1)", "open(ARGV[1], ARGV[4])"
    ),
    "settle: a job may wait once more": Line("settle", "1), 50, ARGV[7])", "1), 51, ARGV[7])"),
    "settle: a cancelled job is forgotten before its remover has dropped it": Line(
        "settle", "elseif removing then", "elseif false then"
    ),
    "beat: token is not compared": Line(
        "beat", "if token ~= ARGV[3] then return 'lost' end", "if not token then return 'lost' end"
    ),
    "beat: a cancelled job is renewed": Line("beat", "if status ~= 'running' then return status end"),
    "beat: the lease is half as long": Line("beat", "NOW + LEASE,", "NOW + LEASE / 2,"),
    "tick: no new leases after an outage": Line("tick", "if NOW < last or last + LEASE < NOW then", "if false then"),
    "tick: no new leases after the clock was set back": Line(
        "tick", "if NOW < last or last + LEASE < NOW then", "if last + LEASE < NOW then"
    ),
    "tick: a clock that was set back delays jobs": Line(
        "tick", ", { '+inf', '(' .. NOW + LONGEST_RETRY } }) do", "}) do"
    ),
    "tick: the holder of the job is not compared": Line(
        "tick", "local running = status == 'running' and holder == worker", "local running = status == 'running'"
    ),
    "tick: each tick is due": Line("tick", "if last <= NOW and NOW < last + LEASE / 6 then return end"),
    "tick: a lost worker is forgotten at once": Line(
        "tick",
        "if tonumber(redis.call('ZSCORE', WORKERS, worker)) < NOW - FORGET then forget(worker) end",
        "forget(worker)",
    ),
    "tick: a lost worker is never forgotten": Line(
        "tick", "if tonumber(redis.call('ZSCORE', WORKERS, worker)) < NOW - FORGET then forget(worker) end"
    ),
    "tick: a message may lose workers for ever": Line("tick", "if strays < MOST_STRAYS then", "if true then"),
    "tick: a stray that is buried leaves its job queued": Line(
        "tick", "if status == 'queued' then close(songhash, 'failed', NOW, 'error', LOST) end"
    ),
    "tick: a lost worker keeps its cancelled job": Line("tick", "elseif holder == worker then", "elseif false then"),
    "tick: a due job stays delayed as well": Line("tick", "redis.call('ZREM', DELAYED, message)"),
    "tick: delayed jobs are due at once": Line("tick", "{ { NOW, '-inf' }", "{ { '+inf', '-inf' }"),
    "enqueue: a delayed job is enqueued again": Line("enqueue", " or redis.call('ZSCORE', DELAYED, message)"),
    "enqueue: a taken job is enqueued again": Line(
        "enqueue", "if redis.call('LPOS', taken_key(worker), message) then return true end"
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
        "prelude", "copies + redis.call('LREM', QUEUE, 0, message) +", "copies +"
    ),
    "prelude: a cancelled job that was popped counts as one that waited": Line(
        "prelude", "if owner == '' then copies = 0 end"
    ),
    "cancel: the share is not given back": Line("cancel", "refund(ARGV[1])"),
    "cancel: removals are not counted": Line("cancel", "next_number('removals')"),
    "cancel: a removed job is not remembered": Line("cancel", "redis.call('ZADD', REMOVED, NOW, ARGV[1])"),
    "drop: any remover drops": Line("drop", " or remover ~= ARGV[2]"),
    "drop: a job in a worker's hands is forgotten": Line(
        "drop", "if worker or ARGV[3] ~= '1' then", "if ARGV[3] ~= '1' then"
    ),
    "drop: a job whose objects are left is forgotten": Line(
        "drop", "if worker or ARGV[3] ~= '1' then", "if worker then"
    ),
    "publish: a job in work is published": Line(
        "publish", "elseif status and status ~= 'failed' then", "elseif status == 'succeeded' then"
    ),
    "publish: a taken job is published": Line("publish", " == 0 then return 0 end", " < 0 then return 0 end"),
    "publish: the error stays": Line("publish", "redis.call('HDEL', job_key(ARGV[1]), 'error')"),
    "prune: an unfinished job is pruned": Line(
        "prune", "if redis.call('HGET', job_key(ARGV[1]), 'status') ~= 'succeeded' then return 0 end"
    ),
    "bury: a repeated burial is a second dead letter": Line("bury", " == 1 then", " >= 0 then"),
    "deliver: a callback is not held": Line("deliver", "redis.call('ZADD', CALLBACKS, hold, member)"),
    "deliver: callbacks of unfinished jobs are due": Line(
        "deliver", "if callback and (status == 'succeeded' or status == 'failed') then", "if callback and status then"
    ),
    "deliver: full hosts get callbacks": Line("deliver", "if not full[host] then return host end", "return host"),
    "deliver: the first host is always first": Line("deliver", "redis.call('LREM', HOSTS, 1, host)"),
    "deliver: a call sorts all callbacks": Line("deliver", "if sorted >= MOST then break end"),
    "deliver: a call passes over all callbacks that are gone": Line("deliver", " and popped < MOST do", " do"),
    "deliver: a hold that is over is valid": Line("deliver", "redis.call('HDEL', key, 'held:' .. id)"),
    "delivered: anybody notes": Line(
        "delivered", "if redis.call('HGET', key, 'held:' .. id) ~= ARGV[3] then return 0 end"
    ),
    "delivered: a delivered callback counts as waiting": Line(
        "delivered", "redis.call('HDEL', key, 'callback:' .. id, 'owner:' .. id)"
    ),
    "subscribe: a waiting callback is added again": Line(
        "subscribe", "if redis.call('HEXISTS', key, 'callback:' .. id) == 1 then return 'ok' end"
    ),
    "subscribe: no limit": Line("subscribe", "#waiting >= most or "),
    "subscribe: an ended job's callback is not due": Line(
        "subscribe", "redis.call('ZADD', CALLBACKS, NOW, ARGV[1] .. id)"
    ),
    "subscribe: the last delivery is kept": Line("subscribe", "redis.call('HDEL', key, 'delivery:' .. id)"),
    "subscribe: callbacks are not counted": Line("subscribe", "count_callbacks(key, 1, id)"),
    "enqueue: callbacks are not counted": Line("enqueue", "count_callbacks(key, 1)"),
    "enqueue: dropped callbacks count on": Line("enqueue", "count_callbacks(key, -1)"),
    "claim: a claimed job stays in its line": Line("claim", "redis.call('ZREM', line_key(owner_of(ARGV[4])), ARGV[4])"),
    "claim: the list stays empty": Line("claim", "feed()"),
    "claim: callbacks are not counted": Line("claim", "count_callbacks(key, 1)"),
    "settle: dropped callbacks count on": Line("settle", "count_callbacks(key, -1)"),
    "drop: dropped callbacks count on": Line("drop", "count_callbacks(job_key(ARGV[1]), -1)"),
    "delivered: dropped callbacks count on": Line("delivered", "count_callbacks(key, -1, id)"),
    "prelude: the delay does not double": Line("prelude", "RETRY * 2 ^ (tries - 1)", "RETRY"),
    "prelude: the delay has no limit": Line(
        "prelude", "math.min(RETRY * 2 ^ (tries - 1), LONGEST_RETRY)", "RETRY * 2 ^ (tries - 1)"
    ),
    "prelude: four attempts": Line("prelude", "DEAD_KEPT = 3,", "DEAD_KEPT = 4,"),
    "prelude: an ended job keeps its message": Line(
        "prelude",
        "'message', 'token', 'worker', 'stage')\n  redis.call('HSET', job_key(songhash), 'status', status",
        "'token', 'worker', 'stage')\n  redis.call('HSET', job_key(songhash), 'status', status",
    ),
    "prelude: the list stays empty": Line("prelude", "if message then redis.call('RPUSH', QUEUE, message) end"),
    "prelude: an owner's jobs do not reach an empty list": Line("prelude", "owner)\n  feed()\nend", "owner)\nend"),
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
        "prelude",
        "redis.call('ZREM', line_key(owner_of(songhash)), songhash)\n  redis.call('HDEL'",
        "redis.call('HDEL'",
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
    "take: a second message is taken": Line("take", "if held then return held end"),
    "take: the list is not fed after a worker that blocked": Line(
        "take", "feed() -- a worker that blocked takes the last message of the list without it"
    ),
    "take: the list stays empty": Line("take", "'RIGHT', 'LEFT')\nfeed()", "'RIGHT', 'LEFT')"),
    "take: the list has no turn": Line("take", "redis.call('ZADD', RING, 'NX', next_number('turn'), '')"),
    "take: the list keeps the turn": Line(
        "take", "if not fed then redis.call('ZADD', RING, next_number('turn'), '') end"
    ),
    "take: a job that was moved to the list waits for its owner's next turn": Line(
        "take", "local message = not fed and pop_owned()", "local message = pop_owned()"
    ),
    "positions: the turns are not looked at": Line("positions", "(before[other] or 0) < (before[owner] or 0)", "false"),
    "positions: other owners are not counted": Line(
        "positions", "ahead = ahead + math.min(length, index + (first and 1 or 0))"
    ),
    "positions: foreign messages are not counted": Line(
        "positions", "elseif owner == '' and strangers ~= 0 then", "elseif false then"
    ),
    "positions: a job that was moved to the list has none": Line(
        "positions", "index, owner = index_in_list(songhash), ''", "return 0"
    ),
    "listing: the page begins a job too late": Line(
        "listing", "math.max(skip - count, 0)", "math.max(skip - count, 1)"
    ),
    "listing: jobs of other owners are listed": Line("listing", "(all or owner_of(songhash) == owner)", "true"),
    "numbers: lost workers are counted": Line(
        "numbers", "redis.call('ZCOUNT', WORKERS, NOW, '+inf')", "redis.call('ZCARD', WORKERS)"
    ),
    "pop: in two calls": Method(Receiver, "_next_message", pop_in_two_calls),
    "pop: the own list is not looked at": Method(Receiver, "_next_message", pop_without_a_look_into_the_own_list),
    "leave: nothing is returned": Method(Receiver, "leave", do_nothing),
    "lead: two lead": Line("lead", "if leader and leader ~= ARGV[1] then return 0 end"),
    "lead: the time is not renewed": Line("lead", "'PX', ARGV[2])", "'PX', ARGV[2], 'NX')"),
    "lead: it goes on after another took over": Method(Leader, "keep_leading", do_nothing),
    "resign: the leader stays": Method(Leader, "resign", do_nothing),
    "resign: another's leadership ends": Line("resign", "if redis.call('GET', LEADER) ~= ARGV[1] then return 0 end"),
    "adopt: forgotten workers stay unknown": Method(Queue, "adopt", do_nothing),
}

if chosen := os.environ.get("MUTANT"):
    MUTATIONS[chosen].apply()
