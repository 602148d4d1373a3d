-- claim: give a job, whose message a worker took, to this worker under a new token.
-- ARGV  1 worker   2 message   3 token   4 songhash   5 the worker's models, as for take_next
--       6.. field, value of a job that was not enqueued (a foreign message)
-- returns the number of the attempt; 0 where the job has ended or another worker holds it: the copy of the message is
--       dropped; 0 where the worker lacks the model: the job is parked, unless it is a foreign one and no worker has
--       the model: then it may fail at this worker
-- sent twice: the token is known, so the answer is the same.
-- The message must still be in this worker's list: `reclaim` may have moved it while the worker was paused.
if not redis.call('LPOS', run_key(ARGV[1]), ARGV[2]) then return 0 end
local key, digest = job_key(ARGV[4]), redis.sha1hex(ARGV[2])
local status, token, holder, attempt, queued_message =
  unpack(redis.call('HMGET', key, 'status', 'token', 'worker', 'attempt', 'message'))
if token == ARGV[3] then return tonumber(attempt) end
redis.call('HDEL', STRAYS, digest)
local is_own = status == 'running' and holder == ARGV[1] -- an earlier claim whose reply was lost
-- A Redis that was restored from an older state may name a holder that has no message.
local holder_lost = status == 'running' and not (holder and queued_message
  and redis.call('LPOS', run_key(holder), queued_message))
if status and status ~= 'queued' and not holder_lost and not is_own then
  redis.call('LREM', run_key(ARGV[1]), 1, ARGV[2])
  if holder == ARGV[1] then redis.call('HDEL', key, 'worker') end -- cancelled: no worker holds it any more
  refill_queue()
  return 0
end
if not status then
  redis.call('HSET', key, 'enqueued_at', NOW, unpack(ARGV, 6))
  count_callbacks(key, 1)
end
local fails_here = not status and not is_offered(redis.call('HGET', key, 'model') or '')
if not is_own and not fails_here and not may_run(ARGV[4], ARGV[1], model_set(ARGV[5])) then
  redis.call('LREM', run_key(ARGV[1]), 1, ARGV[2])
  requeue(ARGV[4], status == 'queued' and queued_message or ARGV[2])
  park(ARGV[4])
  refill_queue()
  return 0
end
-- `reclaim` reads here which job a lost worker's message belongs to: it cannot parse foreign messages.
redis.call('HSET', CLAIMS, ARGV[1], ARGV[4] .. ' ' .. digest)
redis.call('HDEL', key, 'avoid')
redis.call('HSET', key, 'status', 'running', 'message', ARGV[2], 'token', ARGV[3], 'worker', ARGV[1],
  'started_at', NOW, 'stage', 'fetching', 'progress', '0')
redis.call('ZREM', line_key(owner_of(ARGV[4])), ARGV[4])
unpark(ARGV[4])
refill_queue()
return redis.call('HINCRBY', key, 'attempt', is_own and 0 or 1)
