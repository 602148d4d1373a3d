-- restore_result: mark a job as succeeded whose result is in the store, after Redis lost the job or its end.
-- ARGV  1 songhash   2 when it ended, in ms   3 '1' where a stem was removed
-- returns 1; 0 where the job runs, has succeeded or is being removed; 0 where it was removed: a worker which did not
--       know of the removal then stored the result
-- sent twice: the second call finds the job succeeded.
local status, message = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'message'))
if status == 'queued' then
  if take_out_of_line(ARGV[1], message) == 0 then return 0 end
elseif status and status ~= 'failed' or not status and redis.call('ZSCORE', REMOVED, ARGV[1]) then
  return 0
end
finish(ARGV[1], 'succeeded', ARGV[2])
if ARGV[3] == '1' then redis.call('HSET', job_key(ARGV[1]), 'pruned', 1) end
return 1
