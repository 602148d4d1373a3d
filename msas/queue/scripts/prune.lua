-- prune: note that a stem of a job that succeeded is removed; sent again, the job is separated again.
-- ARGV  1 songhash   2 empty; or the owner that removes it
-- returns 1; 0 where the job is not there or not over; -1 where others own it, too: then nothing changes
-- sent twice: `pruned` grows again, so that nobody takes an earlier report for the last one.
if redis.call('HGET', job_key(ARGV[1]), 'status') ~= 'succeeded' then return 0 end
local owners = redis.call('HGET', job_key(ARGV[1]), 'owners') or ''
if ARGV[2] ~= '' and string.find(owners, '%S%s+%S') then return -1 end
redis.call('HINCRBY', job_key(ARGV[1]), 'pruned', 1)
return 1
