-- take_callbacks: take callbacks that are due into one's hands, for a while.
-- ARGV  1 how many at most   2 for how long, in ms: then others may take them   3.. hosts that get none now
-- returns {1 where more are due that this call did not look at, else 0; what was taken}; for each that was taken:
--       songhash, id, hold (a token), the job's status, since when it is known (ms), the callback,
--       how its delivery went so far, its host
-- sent twice: the second takes others; what the first took is due again after the while.
-- A call looks at 3 * MOST callbacks at most, however many are due. Each callback is sorted by its host once a try; from
-- then on those of hosts that get none now are not looked at.
local MOST, HOSTS = 100, PREFIX .. 'callback_hosts'
local most, hold, full = tonumber(ARGV[1]), string.format('%d', NOW + ARGV[2]), {}
for i = 3, #ARGV do full[ARGV[i]] = true end
local function due_key(host) return CALLBACKS .. ':' .. host end
local function host_of(callback) -- by which callbacks are counted; empty where it has none
  local authority = string.match(callback, '^{"url":"%a+://([^/?#"]*)') or ''
  return string.lower(string.sub(string.gsub(string.gsub(authority, '^.*@', ''), ':%d*$', ''), 1, 253))
end
local function sort(key, member, id) -- it is in nobody's hands any more, and waits behind the others of its host
  redis.call('ZREM', CALLBACKS, member)
  redis.call('HDEL', key, 'held:' .. id)
  local callback = redis.call('HGET', key, 'callback:' .. id)
  if not callback then return end -- sent already, or the job is removed
  local host = host_of(callback)
  local added = redis.call('ZADD', due_key(host), NOW, member)
  if added == 1 and redis.call('ZCARD', due_key(host)) == 1 then redis.call('RPUSH', HOSTS, host) end
end
local function next_host()
  for _, host in ipairs(redis.call('LRANGE', HOSTS, 0, #ARGV - 2)) do
    if not full[host] then return host end
  end
end
local function pop(host) -- its first; then it is another host's turn
  local member = redis.call('ZPOPMIN', due_key(host))[1]
  redis.call('LREM', HOSTS, 1, host)
  if redis.call('EXISTS', due_key(host)) == 1 then redis.call('RPUSH', HOSTS, host) end
  return member
end
local sorted, popped, taken = 0, 0, {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', CALLBACKS, '-inf', NOW, 'LIMIT', 0, MOST)) do
  if sorted >= MOST then break end
  local songhash, ids = string.sub(member, 1, 56), string.sub(member, 57)
  local key = job_key(songhash)
  if ids == '' then -- its job ended: each of its callbacks goes its own way now
    redis.call('ZREM', CALLBACKS, songhash)
    ids = redis.call('HGET', key, 'callbacks') or ''
  end
  for id in string.gmatch(ids, '%x+') do
    sort(key, songhash .. id, id)
    sorted = sorted + 1
  end
end
while #taken < most and popped < MOST do
  local host = next_host()
  if not host then break end
  local member = pop(host)
  local songhash, id = string.sub(member, 1, 56), string.sub(member, 57)
  local key = job_key(songhash)
  local status, since, ended, callback, delivery =
    unpack(redis.call('HMGET', key, 'status', 'enqueued_at', 'ended_at', 'callback:' .. id, 'delivery:' .. id))
  if callback and (status == 'succeeded' or status == 'failed') then -- else sent, removed, or in line once more
    redis.call('ZADD', CALLBACKS, hold, member)
    redis.call('HSET', key, 'held:' .. id, hold)
    table.insert(taken, { songhash, id, hold, status, since or ended, callback, delivery, host })
  end
  popped = popped + 1
end
return { (sorted >= MOST or popped >= MOST) and 1 or 0, taken }
