-- note_callback: note what came of a callback that was taken.
-- ARGV  1 songhash   2 the callback's id   3 its hold   4 how its delivery goes   5 when the next try is due, in ms;
--       empty: there is none
-- returns 1, or 0 where it is in other hands by now, or the job in line once more: then nothing changes
-- sent twice: the second finds it in nobody's hands.
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
