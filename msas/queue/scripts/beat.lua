-- beat: renew a worker's lease, and carry the news of the job it runs.
-- KEYS  1 all workers' leases   2 the job, or any key of ours while idle
-- ARGV  1 worker   2 lease in ms   3 token, empty while idle   4 stage   5 progress 0 to 1
-- returns 'ok', or 'lost' where the job is no longer this worker's
-- sent twice: the same again.
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
if ARGV[3] == '' then
  return 'ok'
end
local status, token = unpack(redis.call('HMGET', KEYS[2], 'status', 'token'))
if status ~= 'running' or token ~= ARGV[3] then
  return 'lost'
end
redis.call('HSET', KEYS[2], 'stage', ARGV[4], 'progress', ARGV[5])
return 'ok'
