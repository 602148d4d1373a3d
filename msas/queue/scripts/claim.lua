-- claim: make a job that this worker took its own, under a fresh token.
-- ARGV  1 worker   2 message   3 token   4 songhash   5 the worker's models, as for take
--       6.. field, value of a job that no enqueue made
-- returns the attempt's number, or 0 where the job is over or in other hands: then the copy is dropped; or where the
--       worker may not do it: then it is parked, unless it is a foreign job for a model that nobody offers: that one
--       may fail at this worker
-- sent twice: the token is known, so the answer is the same.
-- The message must still be in this worker's list: one that paused since it took it may have been reclaimed.
if not redis.call('LPOS', processing_key(ARGV[1]), ARGV[2]) then return 0 end
local key, digest = job_key(ARGV[4]), redis.sha1hex(ARGV[2])
local status, token, holder, attempt, held =
  unpack(redis.call('HMGET', key, 'status', 'token', 'worker', 'attempt', 'message'))
if token == ARGV[3] then return tonumber(attempt) end
redis.call('HDEL', STRAYS, digest)
local is_own = status == 'running' and holder == ARGV[1] -- an earlier claim whose reply this worker never got
-- A Redis that went back to an older state may name a holder that has nothing in its hands.
local holder_lost = status == 'running' and not (holder and held and redis.call('LPOS', processing_key(holder), held))
if status and status ~= 'queued' and not holder_lost and not is_own then
  redis.call('LREM', processing_key(ARGV[1]), 1, ARGV[2])
  if holder == ARGV[1] then redis.call('HDEL', key, 'worker') end -- cancelled: now nobody holds it
  refill_queue()
  return 0
end
if not status then
  redis.call('HSET', key, 'enqueued_at', NOW, unpack(ARGV, 6))
  count_callbacks(key, 1)
end
local is_unknown = not status and not is_offered(redis.call('HGET', key, 'model') or '')
if not is_own and not is_unknown and not may_run(ARGV[4], ARGV[1], model_set(ARGV[5])) then
  redis.call('LREM', processing_key(ARGV[1]), 1, ARGV[2])
  requeue(ARGV[4], status == 'queued' and held or ARGV[2])
  park(ARGV[4])
  refill_queue()
  return 0
end
-- `reclaim` finds the job of a lost worker's message here: it cannot parse the messages of other producers.
redis.call('HSET', CLAIMS, ARGV[1], ARGV[4] .. ' ' .. digest)
redis.call('HDEL', key, 'avoid')
redis.call('HSET', key, 'status', 'running', 'message', ARGV[2], 'token', ARGV[3], 'worker', ARGV[1],
  'started_at', NOW, 'stage', 'fetching', 'progress', '0')
redis.call('ZREM', line_key(owner_of(ARGV[4])), ARGV[4])
unpark(ARGV[4])
refill_queue()
return redis.call('HINCRBY', key, 'attempt', is_own and 0 or 1)
