-- drop_track: forget one stem of a job that succeeded; asked for again, the job is separated again.
-- KEYS  1 the job
-- ARGV  1 the stem's field
-- returns 1, or 0 where the job is not there or not over: then nothing changes
-- sent twice: the same again.
if redis.call('HGET', KEYS[1], 'status') ~= 'succeeded' then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'pruned', '1')
return 1
