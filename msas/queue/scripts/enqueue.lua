-- enqueue: put a job at the end of the line, unless it is there, running or done already.
-- KEYS  1 the job   2 the queue
-- ARGV  1 message   2.. field, value, field, value of the job
-- returns {1, 'queued'} where it was put, {0, status} where it stood already
-- sent twice: the second finds it queued.
local status, pruned = unpack(redis.call('HMGET', KEYS[1], 'status', 'pruned'))
if status == 'queued' or status == 'running' or (status == 'succeeded' and not pruned) then
  return { 0, status }
end
local time = redis.call('TIME')
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'status', 'queued', 'message', ARGV[1],
  'enqueued_at', time[1] * 1000 + math.floor(time[2] / 1000), unpack(ARGV, 2))
redis.call('LPUSH', KEYS[2], ARGV[1])
return { 1, 'queued' }
