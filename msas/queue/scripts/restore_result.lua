-- restore_result: note what lies finished in the store, where Redis forgot the job or never heard of its end.
-- ARGV  1 songhash   2 when it ended, in ms   3 '1' where it lost a stem
-- returns 1, or 0 where the job is in work, has succeeded, or is being removed; or where it was removed: what is in the
--       store then comes from a worker that did not know it yet
-- sent twice: the second finds it over.
local status, message = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'message'))
if status == 'queued' then
  if take_out_of_line(ARGV[1], message) == 0 then return 0 end
elseif status and status ~= 'failed' or not status and redis.call('ZSCORE', REMOVED, ARGV[1]) then
  return 0
end
finish(ARGV[1], 'succeeded', ARGV[2])
if ARGV[3] == '1' then redis.call('HSET', job_key(ARGV[1]), 'pruned', 1) end
return 1
