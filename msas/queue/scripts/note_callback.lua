-- note_callback: record the delivery of a callback that was taken.
-- ARGV  1 songhash   2 callback id   3 hold   4 delivery record   5 when the next attempt is due, in ms; empty: never
-- returns 1; 0, without any change, where another process holds the callback or the job is queued again
-- sent twice: the second call finds no hold.
local key, id = job_key(ARGV[1]), ARGV[2]
if redis.call('HGET', key, 'held:' .. id) ~= ARGV[3] then return 0 end
redis.call('HDEL', key, 'held:' .. id)
redis.call('HSET', key, 'delivery:' .. id, ARGV[4])
if ARGV[5] ~= '' then
  redis.call('ZADD', CALLBACKS, ARGV[5], ARGV[1] .. id)
else
  redis.call('ZREM', CALLBACKS, ARGV[1] .. id)
  count_callbacks(key, -1, id)
  redis.call('HDEL', key, 'callback:' .. id, 'owner:' .. id)
end
return 1
