-- add_callback: add a callback to a job; where the job has ended, the callback is due at once.
-- ARGV  1 songhash   2 callback id   3 callback   4 owner   5 most callbacks of a job   6 most bytes of them together
-- returns 'ok'; 'unknown' where the job is unknown or cancelled; 'full' where too many callbacks are pending
-- sent twice: the second call finds the callback pending.
local key, id, most = job_key(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local status, ids = unpack(redis.call('HMGET', key, 'status', 'callbacks'))
if not status or status == 'cancelled' then return 'unknown' end
if redis.call('HEXISTS', key, 'callback:' .. id) == 1 then return 'ok' end
local pending, ended, bytes = {}, {}, #ARGV[3]
for each in string.gmatch(ids or '', '%x+') do
  local size = redis.call('HSTRLEN', key, 'callback:' .. each)
  if each ~= id then table.insert(size > 0 and pending or ended, each) end
  bytes = bytes + size
end
if #pending >= most or bytes > tonumber(ARGV[6]) then return 'full' end
while #pending + #ended >= most do redis.call('HDEL', key, 'delivery:' .. table.remove(ended)) end -- the oldest
redis.call('HDEL', key, 'delivery:' .. id)
ids = table.concat(pending, ' ') .. ' ' .. table.concat(ended, ' ')
redis.call('HSET', key, 'callback:' .. id, ARGV[3], 'owner:' .. id, ARGV[4], 'callbacks', id .. ' ' .. ids)
count_callbacks(key, 1, id)
if status == 'succeeded' or status == 'failed' then redis.call('ZADD', CALLBACKS, NOW, ARGV[1] .. id) end
return 'ok'
