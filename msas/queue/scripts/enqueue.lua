-- enqueue: put a job at the end of the line, unless it is there, running or done already.
-- ARGV  1 songhash   2 message   3 '1': look whether its message is lost, too   4.. field, value of the job
-- returns {1, 'queued'} where it was put, {0, status} where it stood already
-- sent twice: the second finds it queued.
local key = job_key(ARGV[1])
local status, pruned, message = unpack(redis.call('HMGET', key, 'status', 'pruned', 'message'))
message = message or ARGV[2]
local function lies_somewhere()
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    if redis.call('LPOS', taken_key(worker), message) then return true end
  end
  return redis.call('LPOS', QUEUE, message) or redis.call('ZSCORE', DELAYED, message)
end
if status == 'queued' or status == 'running' then
  if ARGV[3] ~= '1' or lies_somewhere() then return { 0, status } end
  open(ARGV[1], message)
  redis.call('LPUSH', QUEUE, message)
  return { 1, 'queued' }
end
if status and (ARGV[3] == '1' or status == 'cancelled' or (status == 'succeeded' and not pruned)) then return { 0, status } end
redis.call('LPUSH', QUEUE, ARGV[2]) -- first: a Redis that is full refuses this, but nothing after a write
count_callbacks(key, -1)
redis.call('DEL', key)
redis.call('ZREM', ENDED, ARGV[1])
redis.call('ZREM', REMOVED, ARGV[1])
redis.call('HSET', key, 'status', 'queued', 'message', ARGV[2], 'enqueued_at', NOW, unpack(ARGV, 4))
count_callbacks(key, 1)
return { 1, 'queued' }
