-- settle: end a running job, or let go of it.
-- ARGV  1 songhash   2 token   3 worker   4 message   5 outcome   6.. field, value to set
--       outcome: succeeded; failed; cancelled (what it stored is removed); released (to the head of the line,
--       the attempt given back); waiting (the same, but later); retry (later, or dead after three
--       attempts that lost no worker)
-- returns 'ok'; 'cancelled' where the job is to be removed; 'lost' where it is no longer this worker's:
--       in both cases nothing changes
-- sent twice: the token is remembered, so 'ok' again.
local AVOIDED = 60 * 1000 -- ms in which another worker is preferred for the next attempt
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
elseif outcome == 'waiting' then
  redis.call('HINCRBY', key, 'attempt', -1)
  schedule_retry(ARGV[1], ARGV[4], redis.call('HINCRBY', key, 'waits', 1), 50, ARGV[7])
elseif outcome == 'retry' then
  redis.call('HSET', key, 'avoid', NOW + AVOIDED .. ' ' .. ARGV[3])
  schedule_retry(ARGV[1], ARGV[4], attempt - (lost or 0), ATTEMPTS, ARGV[7]) -- each lost worker was an attempt, too
elseif removing then -- whoever removes it has the last word
  redis.call('HDEL', key, 'token', 'worker')
else
  count_callbacks(key, -1)
  redis.call('DEL', key)
  redis.call('ZREM', ENDED, ARGV[1])
end
return 'ok'
