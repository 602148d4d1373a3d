-- numbers: how the queue stands, in numbers alone: no message is read but the one that will be taken next.
-- returns {waiting, running, delayed, workers that hold a lease, ms since the job at the head was enqueued}
-- The last is 0 where nothing waits, and where the message is one that no enqueue of ours made.
local running, age = 0, 0
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
  running = running + redis.call('LLEN', taken_key(worker))
end
local songhash = string.match(redis.call('LINDEX', QUEUE, -1) or '', '"hash"%s*:%s*"(%x+)"')
local since = songhash and redis.call('HGET', job_key(songhash), 'enqueued_at')
if since then age = math.max(0, NOW - tonumber(since)) end
return { redis.call('LLEN', QUEUE), running, redis.call('ZCARD', DELAYED), redis.call('ZCOUNT', WORKERS, NOW, '+inf'), age }
