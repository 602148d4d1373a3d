-- forget_stem: note that a stem of a job that succeeded is removed; sent again, the job is separated again.
-- ARGV  1 songhash   2 the version that its remover read: when it ended, and a space, and how often it was pruned;
--       without the second number any   3 empty; or the owner that removes it
-- returns 1; 0 where the job is not there or not over; -1 where others own it, too; -2 where it has another version by
--       now: in these cases nothing changes
-- sent twice: the second finds another version.
local status, owners, ended, pruned =
  unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'owners', 'ended_at', 'pruned'))
if status ~= 'succeeded' then return 0 end
if ARGV[3] ~= '' and string.find(owners or '', '%S%s+%S') then return -1 end
local expected_end, expected = string.match(ARGV[2], '^(%S*) (%S*)$')
if expected_end ~= ended or (expected ~= '' and expected ~= (pruned or '0')) then return -2 end
redis.call('HINCRBY', job_key(ARGV[1]), 'pruned', 1)
return 1
