-- settle: end a running job, or requeue it.
-- ARGV  1 songhash   2 token   3 worker   4 message   5 outcome   6.. field, value to set
--       outcome: succeeded; failed; cancelled (the worker acknowledges it); released (to the head of the line, without
--       counting the attempt); postponed (delayed, without counting the attempt); retry (delayed; failed after three
--       attempts that lost no worker)
-- returns 'ok'; 'cancelled' where the job is being removed; 'lost' where another worker holds it: in both cases nothing
--       changes
-- sent twice: the token is stored, so the answer is 'ok' again.
local AVOIDED = 60 * 1000 -- ms for which other workers are preferred
local key, outcome = job_key(ARGV[1]), ARGV[5]
local status, token, settled, attempt, removing, lost =
  unpack(redis.call('HMGET', key, 'status', 'token', 'settled', 'attempt', 'removing', 'lost'))
if settled == ARGV[2] then return 'ok' end
if token ~= ARGV[2] then return 'lost' end
if status == 'cancelled' and outcome ~= 'cancelled' then return 'cancelled' end
redis.call('LREM', processing_key(ARGV[3]), 1, ARGV[4])
redis.call('HSET', key, 'settled', token)
if outcome == 'succeeded' or outcome == 'failed' then
  finish(ARGV[1], outcome, NOW, unpack(ARGV, 6))
elseif outcome == 'released' then
  requeue(ARGV[1], ARGV[4])
  redis.call('HINCRBY', key, 'attempt', -1)
  put_in_line(ARGV[1], ARGV[4], true)
elseif outcome == 'postponed' then
  redis.call('HINCRBY', key, 'attempt', -1)
  schedule_retry(ARGV[1], ARGV[4], redis.call('HINCRBY', key, 'waits', 1), 50, ARGV[7])
elseif outcome == 'retry' then
  redis.call('HSET', key, 'avoid', NOW + AVOIDED .. ' ' .. ARGV[3])
  schedule_retry(ARGV[1], ARGV[4], attempt - (lost or 0), ATTEMPTS, ARGV[7]) -- each lost worker counted as an attempt
elseif removing then -- its remover deletes the job
  redis.call('HDEL', key, 'token', 'worker')
else
  count_callbacks(key, -1)
  redis.call('DEL', key)
  redis.call('ZREM', ENDED, ARGV[1])
end
return 'ok'
