-- deliver: take callbacks that are due into one's hands, for a while.
-- ARGV  1 how many at most   2 for how long, in ms: then others may take them
-- returns for each: songhash, id, hold (a token), the job's status, since when it is known (ms), the callback,
--       how its delivery went so far
-- sent twice: the second takes others; what the first took is due again after the while.
local function due() return redis.call('ZRANGEBYSCORE', CALLBACKS, '-inf', NOW, 'LIMIT', 0, ARGV[1]) end
local function is_song(member) return #member == 56 end -- its job ended: each of its callbacks goes its own way now
for _, member in ipairs(due()) do
  if is_song(member) then
    local at = redis.call('ZSCORE', CALLBACKS, member) -- they take its place
    redis.call('ZREM', CALLBACKS, member)
    for id in string.gmatch(redis.call('HGET', job_key(member), 'callbacks') or '', '%x+') do
      redis.call('ZADD', CALLBACKS, at, member .. id)
    end
  end
end
local taken, hold = {}, string.format('%d', NOW + ARGV[2])
for _, member in ipairs(due()) do
  local songhash, id = string.sub(member, 1, 56), string.sub(member, 57)
  local key = job_key(songhash)
  local status, since, ended, callback, delivery =
    unpack(redis.call('HMGET', key, 'status', 'enqueued_at', 'ended_at', 'callback:' .. id, 'delivery:' .. id))
  if callback and (status == 'succeeded' or status == 'failed') then
    redis.call('ZADD', CALLBACKS, hold, member)
    redis.call('HSET', key, 'held:' .. id, hold)
    table.insert(taken, { songhash, id, hold, status, since or ended, callback, delivery })
  elseif not is_song(member) then
    redis.call('ZREM', CALLBACKS, member) -- told already; or the job is removed, or in line once more
  end
end
return taken
