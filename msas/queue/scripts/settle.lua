-- settle: end a running job, or requeue it.
-- ARGV  1 songhash   2 token   3 worker   4 message   5 outcome   6.. field, value (succeeded, failed);
--       'error', its JSON (retry, postponed)
--       outcome: succeeded; failed; cancelled (the worker acknowledges it); released (to the head of the line, without
--       counting the attempt); postponed (delayed, without counting the attempt; failed the MOST_WAITS-th time); retry
--       (delayed; failed after MOST_ATTEMPTS attempts that lost no worker)
-- returns 'ok'; 'cancelled' where the job is being removed; 'lost' where another worker holds it: in both cases nothing
--       changes; an error, without any change, for any other outcome
-- sent twice: the token is stored, so the answer is 'ok' again.
local AVOIDED = 60 * 1000 -- ms for which other workers are preferred
local OUTCOMES = { succeeded = 1, failed = 1, cancelled = 1, released = 1, postponed = 1, retry = 1 }
local key, outcome = job_key(ARGV[1]), ARGV[5]
if not OUTCOMES[outcome] then return redis.error_reply('ERR unknown outcome: ' .. outcome) end
local status, token, settled, attempt, removing, lost =
  unpack(redis.call('HMGET', key, 'status', 'token', 'settled', 'attempt', 'removing', 'lost'))
if settled == ARGV[2] then return 'ok' end
if token ~= ARGV[2] then return 'lost' end
if status == 'cancelled' and outcome ~= 'cancelled' then return 'cancelled' end
redis.call('LREM', run_key(ARGV[3]), 1, ARGV[4])
redis.call('HSET', key, 'settled', token)
if outcome == 'succeeded' or outcome == 'failed' then
  finish(ARGV[1], outcome, NOW, unpack(ARGV, 6))
elseif outcome == 'released' then
  requeue(ARGV[1], ARGV[4])
  redis.call('HINCRBY', key, 'attempt', -1)
  put_in_line(ARGV[1], ARGV[4], true)
elseif outcome == 'postponed' then
  redis.call('HINCRBY', key, 'attempt', -1)
  schedule_retry(ARGV[1], ARGV[4], redis.call('HINCRBY', key, 'waits', 1), MOST_WAITS, ARGV[7])
elseif outcome == 'retry' then
  redis.call('HSET', key, 'avoid', NOW + AVOIDED .. ' ' .. ARGV[3])
  -- `attempt` counts lost workers, too.
  schedule_retry(ARGV[1], ARGV[4], attempt - (lost or 0), MOST_ATTEMPTS, ARGV[7])
elseif outcome == 'cancelled' and removing then -- its remover deletes the job
  redis.call('HDEL', key, 'token', 'worker')
elseif outcome == 'cancelled' then
  count_callbacks(key, -1)
  redis.call('DEL', key)
  redis.call('ZREM', ENDED, ARGV[1])
end
return 'ok'
