-- settle: end a running job, or hand it back to the head of the line without using up the attempt.
-- KEYS  1 the job   2 what this worker has taken   3 the queue
-- ARGV  1 token   2 message   3 'succeeded', 'failed' or 'queued' (handed back)   4.. field, value to set
-- returns 'ok', or 'lost' where the job is no longer this worker's: then nothing changes
-- sent twice: the job is settled under this token, so 'ok' again (handed back: 'lost', the token is gone).
local status, token = unpack(redis.call('HMGET', KEYS[1], 'status', 'token'))
if token ~= ARGV[1] then
  return 'lost'
end
if status ~= 'running' then
  return 'ok'
end
redis.call('LREM', KEYS[2], 1, ARGV[2])
if ARGV[3] == 'queued' then
  redis.call('HDEL', KEYS[1], 'token', 'worker', 'stage', 'progress', 'started_at')
  redis.call('HINCRBY', KEYS[1], 'attempt', -1)
  redis.call('RPUSH', KEYS[3], ARGV[2])
else
  local time = redis.call('TIME')
  redis.call('HDEL', KEYS[1], 'message') -- of the first version, it is a whole song
  redis.call('HSET', KEYS[1], 'ended_at', time[1] * 1000 + math.floor(time[2] / 1000), unpack(ARGV, 4))
end
redis.call('HSET', KEYS[1], 'status', ARGV[3])
return 'ok'
