-- remove: forget a job that waits or is over.
-- KEYS  1 the job   2 the queue
-- returns its status before ('running': nothing was changed), or false where there was none
-- A queued job whose message is not in the queue is in a worker's hands already: that is as good as running.
local status, message = unpack(redis.call('HMGET', KEYS[1], 'status', 'message'))
if not status or status == 'running' then
  return status
end
if status == 'queued' and redis.call('LREM', KEYS[2], 0, message) == 0 then
  return 'running'
end
redis.call('DEL', KEYS[1])
return status
