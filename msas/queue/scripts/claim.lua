-- claim: make a job that this worker took its own, under a fresh token.
-- KEYS  1 the job   2 what this worker has taken   3 what each worker claimed last
-- ARGV  1 message   2 token   3 worker   4 songhash   5.. field, value of a job that no enqueue made
-- returns the attempt's number, or 0 where the job is over or in other hands: the copy is dropped
-- sent twice: the token is known, so the answer is the same.
-- The message must still be in this worker's list: one that paused since it took it may have been reclaimed.
if not redis.call('LPOS', KEYS[2], ARGV[1]) then
  return 0
end
local status, token, holder, attempt = unpack(redis.call('HMGET', KEYS[1], 'status', 'token', 'worker', 'attempt'))
if token == ARGV[2] then
  return tonumber(attempt)
end
local mine = status == 'running' and holder == ARGV[3] -- an earlier claim whose reply this worker never got
if status and status ~= 'queued' and not mine then
  redis.call('LREM', KEYS[2], 1, ARGV[1])
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Whoever takes the message back must know whose it is without reading it: strangers' JSON has many shapes.
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. redis.sha1hex(ARGV[1]))
if not status then
  redis.call('HSET', KEYS[1], 'message', ARGV[1], 'enqueued_at', now, unpack(ARGV, 5))
end
redis.call('HSET', KEYS[1], 'status', 'running', 'token', ARGV[2], 'worker', ARGV[3],
  'started_at', now, 'stage', 'fetching', 'progress', '0')
return redis.call('HINCRBY', KEYS[1], 'attempt', mine and 0 or 1)
