-- renew: renew a worker's lease, and store the stage and progress of its job.
-- ARGV  1 worker   2 songhash, empty while the worker is idle   3 token   4 stage   5 progress, 0 to 1
-- returns 'ok'; 'cancelled' where the job is being removed; 'lost' where another worker holds it
-- sent twice: no further change.
redis.call('ZADD', WORKERS, NOW + LEASE, ARGV[1])
if ARGV[2] == '' then return 'ok' end
local status, token = unpack(redis.call('HMGET', job_key(ARGV[2]), 'status', 'token'))
if token ~= ARGV[3] then return 'lost' end
if status ~= 'running' then return status end
redis.call('HSET', job_key(ARGV[2]), 'stage', ARGV[4], 'progress', ARGV[5])
return 'ok'
