-- count_jobs: count jobs and workers. Reads no messages but those at the heads of the lines.
-- returns {waiting, running, delayed, workers that hold a lease, age in ms of the oldest job at the head of a line,
--       parked jobs for models that no worker with a lease has}
-- The age is 0 where no job waits, or where a foreign message comes next.
local running, delayed, age = 0, redis.call('ZCARD', DELAYED), 0
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
  running = running + redis.call('LLEN', run_key(worker))
end
local function look_at(songhash)
  local since = songhash and redis.call('HGET', job_key(songhash), 'enqueued_at')
  if since then age = math.max(age, NOW - tonumber(since)) end
end
look_at(parse_songhash(redis.call('LINDEX', QUEUE, -1) or ''))
for _, owner in ipairs(redis.call('ZRANGE', RING, 0, -1)) do look_at(redis.call('ZRANGE', line_key(owner), 0, 0)[1]) end
local unoffered = 0
for _, name in ipairs(redis.call('ZRANGE', PARKED, 0, -1)) do
  look_at(redis.call('ZRANGE', parked_key(name), 0, 0)[1])
  if not is_offered(string.match(name, '^[^\n]*'), '') then
    unoffered = unoffered + redis.call('ZCARD', parked_key(name))
  end
end
return { count_waiting() - delayed, running, delayed, redis.call('ZCOUNT', WORKERS, NOW, '+inf'), age, unoffered }
