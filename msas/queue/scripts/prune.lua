-- prune: forget one stem of a job that succeeded; asked for again, the job is separated again.
-- ARGV  1 songhash   2 the stem's field   3 the report without it
-- returns 1, or 0 where the job is not there or not over: then nothing changes
-- sent twice: the same again.
if redis.call('HGET', job_key(ARGV[1]), 'status') ~= 'succeeded' then return 0 end
redis.call('HDEL', job_key(ARGV[1]), ARGV[2])
redis.call('HSET', job_key(ARGV[1]), 'pruned', '1', 'report', ARGV[3])
return 1
