-- tick: take back what workers held whose lease ran out.
-- KEYS  1 all workers' leases   2 the queue   3 when the last tick was
-- ARGV  1 prefix of our keys   2 lease in ms   3 attempts a job has   4 error of a job that used them up
-- returns how many messages were taken back
-- After an outage in which nobody ticked, every lease has run out: then each worker first gets a fresh one.
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

local reclaimed = 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)) do
  local taken = ARGV[1] .. 'run:' .. worker
  for _, message in ipairs(redis.call('LRANGE', taken, 0, -1)) do
    local job = ARGV[1] .. 'job:' .. (string.match(message, '"hash"%s*:%s*"(%x+)"') or '')
    local status, holder, attempt = unpack(redis.call('HMGET', job, 'status', 'worker', 'attempt'))
    if not status or status == 'queued' then
      redis.call('RPUSH', KEYS[2], message) -- taken but never claimed: nobody is to blame
      reclaimed = reclaimed + 1
    elseif status == 'running' and holder == worker then
      redis.call('HDEL', job, 'token', 'worker')
      if tonumber(attempt) >= tonumber(ARGV[3]) then
        redis.call('HSET', job, 'status', 'failed', 'error', ARGV[4], 'ended_at', now)
      else
        redis.call('HDEL', job, 'stage', 'progress', 'started_at')
        redis.call('HSET', job, 'status', 'queued')
        redis.call('RPUSH', KEYS[2], message)
      end
      reclaimed = reclaimed + 1
    end
  end
  redis.call('DEL', taken)
  redis.call('ZREM', KEYS[1], worker)
end
return reclaimed
