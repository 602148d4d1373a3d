-- tick: take back what workers held whose lease ran out.
-- KEYS  1 all workers' leases   2 the queue   3 when the last tick was   4 what each worker claimed last
-- ARGV  1 prefix of our keys   2 lease in ms   3 attempts a job has   4 error of a job that used them up
-- returns how many messages were taken back
-- After an outage in which nobody ticked, every lease has run out: then each worker first gets a fresh one.
-- A worker stays known for an hour after its lease: one that was only paused may still take a message.
local FORGET_MS = 3600 * 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[3]) or '0')
redis.call('SET', KEYS[3], now)
if now - last > tonumber(ARGV[2]) then
  for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('ZADD', KEYS[1], now + ARGV[2], worker)
  end
  return 0
end

local function reclaim(worker, message)
  local songhash, digest = string.match(redis.call('HGET', KEYS[4], worker) or '', '^(%x+) (%x+)$')
  if digest ~= redis.sha1hex(message) then
    redis.call('RPUSH', KEYS[2], message) -- taken but never claimed: nobody is to blame
    return 1
  end
  local job = ARGV[1] .. 'job:' .. songhash
  local status, holder, attempt = unpack(redis.call('HMGET', job, 'status', 'worker', 'attempt'))
  if not status or status == 'queued' then
    redis.call('RPUSH', KEYS[2], message)
    return 1
  end
  if status ~= 'running' or holder ~= worker then
    return 0 -- over, or in other hands: drop the copy
  end
  redis.call('HDEL', job, 'token', 'worker', 'stage', 'progress')
  if tonumber(attempt) >= tonumber(ARGV[3]) then
    redis.call('HDEL', job, 'message')
    redis.call('HSET', job, 'status', 'failed', 'error', ARGV[4], 'ended_at', now)
  else
    redis.call('HDEL', job, 'started_at')
    redis.call('HSET', job, 'status', 'queued')
    redis.call('RPUSH', KEYS[2], message)
  end
  return 1
end

local reclaimed = 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  local taken = ARGV[1] .. 'run:' .. worker
  for _, message in ipairs(redis.call('LRANGE', taken, 0, -1)) do
    reclaimed = reclaimed + reclaim(worker, message)
  end
  redis.call('DEL', taken)
  if tonumber(redis.call('ZSCORE', KEYS[1], worker)) < now - FORGET_MS then
    redis.call('ZREM', KEYS[1], worker)
    redis.call('HDEL', KEYS[4], worker)
  end
end
return reclaimed
