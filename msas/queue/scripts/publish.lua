-- publish: note what lies finished in the store, where Redis forgot the job or never heard of its end.
-- ARGV  1 songhash   2 when it ended, in ms   3.. field, value of the job
-- returns 1, or 0 where the job is in work, has succeeded, or is being removed
-- sent twice: the second finds it over.
local status, message = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'message'))
if status == 'queued' then
  if take_out_of_line(ARGV[1], message) == 0 then return 0 end
elseif status and status ~= 'failed' then
  return 0
end
redis.call('HDEL', job_key(ARGV[1]), 'error')
close(ARGV[1], 'succeeded', ARGV[2], unpack(ARGV, 3))
return 1
