-- prune: forget one stem of a job that succeeded; asked for again, the job is separated again.
-- ARGV  1 songhash   2 the stem's field   3 the report without it   4 empty; or the owner that removes it
-- returns 1; 0 where the job is not there or not over; -1 where others own it, too: then nothing changes
-- sent twice: the same again.
if redis.call('HGET', job_key(ARGV[1]), 'status') ~= 'succeeded' then return 0 end
local owners = redis.call('HGET', job_key(ARGV[1]), 'owners') or ''
if ARGV[4] ~= '' and string.find(owners, '%S%s+%S') then return -1 end
redis.call('HDEL', job_key(ARGV[1]), ARGV[2])
redis.call('HSET', job_key(ARGV[1]), 'pruned', '1', 'report', ARGV[3])
return 1
