-- add_callback: have one more callback told of the end of a job; where it has ended, at once.
-- ARGV  1 songhash   2 the callback's id   3 the callback   4 its owner   5 how many a job may have
--       6 of how many bytes in all
-- returns 'ok'; 'unknown' where there is no such job, or it is being removed; 'full' where too many wait already
-- sent twice: the second finds that it waits.
local key, id, most = job_key(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local status, ids = unpack(redis.call('HMGET', key, 'status', 'callbacks'))
if not status or status == 'cancelled' then return 'unknown' end
if redis.call('HEXISTS', key, 'callback:' .. id) == 1 then return 'ok' end
local waiting, over, bytes = {}, {}, #ARGV[3]
for each in string.gmatch(ids or '', '%x+') do
  local size = redis.call('HSTRLEN', key, 'callback:' .. each)
  if each ~= id then table.insert(size > 0 and waiting or over, each) end
  bytes = bytes + size
end
if #waiting >= most or bytes > tonumber(ARGV[6]) then return 'full' end
while #waiting + #over >= most do redis.call('HDEL', key, 'delivery:' .. table.remove(over)) end -- the oldest
redis.call('HDEL', key, 'delivery:' .. id)
ids = table.concat(waiting, ' ') .. ' ' .. table.concat(over, ' ')
redis.call('HSET', key, 'callback:' .. id, ARGV[3], 'owner:' .. id, ARGV[4], 'callbacks', id .. ' ' .. ids)
count_callbacks(key, 1, id)
if status == 'succeeded' or status == 'failed' then redis.call('ZADD', CALLBACKS, NOW, ARGV[1] .. id) end
return 'ok'
