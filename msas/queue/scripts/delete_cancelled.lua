-- delete_cancelled: delete a cancelled job whose objects are removed, or let another remover remove them.
-- ARGV  1 songhash   2 remover   3 '1' where the objects are removed
-- returns 1; 0 where they are not, where another remover is active, or where a worker has not acknowledged the
--       cancellation yet: its acknowledgement deletes the job
-- sent twice: the second call finds no job.
local status, remover, worker = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'remover', 'worker'))
if status ~= 'cancelled' or remover ~= ARGV[2] then return 0 end
redis.call('HDEL', job_key(ARGV[1]), 'removing', 'remover')
if worker or ARGV[3] ~= '1' then return 0 end
count_callbacks(job_key(ARGV[1]), -1)
redis.call('DEL', job_key(ARGV[1]))
return redis.call('ZREM', ENDED, ARGV[1])
