-- enqueue: enqueue a job at the end of its owner's line, within the bounds.
-- ARGV  1 songhash   2 message   3 '1': perhaps lost   4 owner   5 cost   6 most waiting jobs
--       7 most unfinished jobs of an owner   8 most cost of these together; 0: no bound   9.. field, value of the job
-- Without `perhaps lost`: an unknown job, and one that failed or lacks a removed stem; a job that has not ended or has
-- succeeded gets the owner. With it: an unknown job, and a queued or running one whose message is in no list; every
-- other job stays as it is, and nothing is added to it.
-- returns {1, 'queued', removals} where it was enqueued; {0, status, 0} where it is known; {0, 'full', 0} or
--       {0, 'over_share', 0} where it exceeds a bound. removals: how many removals, of any job, have begun
-- sent twice: the second call finds the job queued.
local key, owner, cost = job_key(ARGV[1]), ARGV[4], ARGV[5]
local status, pruned, message = unpack(redis.call('HMGET', key, 'status', 'pruned', 'message'))
message = message or ARGV[2]
local function is_listed()
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    if redis.call('LPOS', run_key(worker), message) then return true end
  end
  return redis.call('ZSCORE', line_key(owner_of(ARGV[1])), ARGV[1]) and owner_of(ARGV[1]) ~= ''
    or redis.call('ZSCORE', parked_key(parked_line(ARGV[1])), ARGV[1])
    or redis.call('LPOS', QUEUE, message) or redis.call('ZSCORE', DELAYED, message)
end
local function share_job() if ARGV[3] ~= '1' then add_owners(ARGV[1], owner) end end
if status == 'queued' or status == 'running' then
  share_job()
  if ARGV[3] ~= '1' or is_listed() then return { 0, status, 0 } end
  requeue(ARGV[1], message)
  put_in_line(ARGV[1], message)
  return { 1, 'queued', 0 }
end
if status and (ARGV[3] == '1' or status == 'cancelled' or (status == 'succeeded' and not pruned)) then
  if status ~= 'cancelled' then share_job() end
  -- A finished song that is sent again is kept as long as a new one.
  if status == 'succeeded' and ARGV[3] ~= '1' then redis.call('ZADD', ENDED, NOW, ARGV[1]) end
  return { 0, status, 0 }
end
local bound = find_exceeded_bound(owner, cost, ARGV[6], ARGV[7], ARGV[8])
if bound ~= '' then return { 0, bound, 0 } end
local owners = redis.call('HGET', key, 'owners') or owner_of(ARGV[1])
count_callbacks(key, -1)
redis.call('DEL', key)
redis.call('ZREM', ENDED, ARGV[1])
redis.call('ZREM', REMOVED, ARGV[1])
redis.call('HSET', key, 'status', 'queued', 'message', ARGV[2], 'enqueued_at', NOW, unpack(ARGV, 9))
add_owners(ARGV[1], owners .. ' ' .. owner)
count_callbacks(key, 1)
charge(ARGV[1], owner, cost)
put_in_line(ARGV[1], ARGV[2])
return { 1, 'queued', tonumber(redis.call('HGET', COUNTERS, 'removals') or 0) }
