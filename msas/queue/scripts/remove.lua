-- remove: forget a job that waits or is over.
-- KEYS  1 the job   2 the queue
-- returns its status before ('running': nothing was changed), or false where there was none
local status, message = unpack(redis.call('HMGET', KEYS[1], 'status', 'message'))
if not status or status == 'running' then
  return status
end
redis.call('LREM', KEYS[2], 0, message)
redis.call('DEL', KEYS[1])
return status
