-- cancel: cancel a job in any status, so that its objects can be removed. It can be enqueued again after
--       `delete_cancelled`.
-- ARGV  1 songhash   2 remover   3 empty; or a time in ms: only a job that ended before it, or that is unknown
--       4 empty; or an owner: a job that has other owners as well only loses this one
-- returns the former status, '' for an unknown job; 'busy' where another remover is active; 'kept' where the job has
--       not ended by then; 'shared' where it has other owners; '' where the owner does not own it
-- sent twice: the job is cancelled already, by the same remover.
local REMOVAL, REMEMBERED = 120 * 1000, 24 * 3600 * 1000
local key = job_key(ARGV[1])
local status, removing, remover, message = unpack(redis.call('HMGET', key, 'status', 'removing', 'remover', 'message'))
if ARGV[4] ~= '' then
  local others, is_owner = {}, false
  for name in string.gmatch(redis.call('HGET', key, 'owners') or owner_of(ARGV[1]), '%S+') do
    if name == ARGV[4] then is_owner = true else others[#others + 1] = name end
  end
  if not is_owner then return '' end
  if #others > 0 then
    redis.call('HSET', key, 'owners', table.concat(others, ' '))
    return 'shared'
  end
end
if removing and tonumber(removing) > NOW and remover ~= ARGV[2] then return 'busy' end
if status and ARGV[3] ~= '' then
  local ended = redis.call('ZSCORE', ENDED, ARGV[1])
  if not ended or tonumber(ended) > tonumber(ARGV[3]) then return 'kept' end
end
local copies = message and take_out_of_line(ARGV[1], message)
if status == 'queued' and copies == 0 then
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    redis.call('LREM', run_key(worker), 0, message)
  end
end
next_number('removals')
refund(ARGV[1])
redis.call('HDEL', key, 'message')
redis.call('HSET', key, 'status', 'cancelled', 'ended_at', NOW, 'removing', NOW + REMOVAL, 'remover', ARGV[2])
redis.call('ZADD', ENDED, 0, ARGV[1])
if status and ARGV[3] == '' then -- a worker that lost it before may still store objects
  redis.call('ZADD', REMOVED, NOW, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', REMOVED, '-inf', NOW - REMEMBERED)
end
return status or ''
