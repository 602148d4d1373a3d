-- take_callbacks: hold callbacks that are due for some time; the calling process sends them.
-- ARGV  1 most callbacks   2 duration of the hold in ms, after which others may take them   3.. hosts to skip
-- returns {1 where further callbacks are due that this call did not read, else 0; callbacks}; for each callback:
--       songhash, id, hold (a token), the job's status, when the job became known (ms), the callback, its delivery
--       record, its host
-- sent twice: the second call takes other callbacks; the first ones are due again after the hold.
-- A call reads 3 * MOST callbacks at most. Each callback is sorted by its host once for each attempt; after that, those
-- of skipped hosts are not read.
local MOST, HOSTS = 100, PREFIX .. 'callback_hosts'
local most, hold, full = tonumber(ARGV[1]), string.format('%d', NOW + ARGV[2]), {}
for i = 3, #ARGV do full[ARGV[i]] = true end
local function due_key(host) return CALLBACKS .. ':' .. host end
local function host_of(callback) -- lower case, without user and port; empty where the URL has none
  local authority = string.match(callback, '^{"url":"%a+://([^/?#"]*)') or ''
  return string.lower(string.sub(string.gsub(string.gsub(authority, '^.*@', ''), ':%d*$', ''), 1, 253))
end
local function sort(key, member, id) -- end its hold and add it to the callbacks of its host
  redis.call('ZREM', CALLBACKS, member)
  redis.call('HDEL', key, 'held:' .. id)
  local callback = redis.call('HGET', key, 'callback:' .. id)
  if not callback then return end -- it was sent, or the job was removed
  local host = host_of(callback)
  local added = redis.call('ZADD', due_key(host), NOW, member)
  if added == 1 and redis.call('ZCARD', due_key(host)) == 1 then redis.call('RPUSH', HOSTS, host) end
end
local function next_host()
  for _, host in ipairs(redis.call('LRANGE', HOSTS, 0, #ARGV - 2)) do
    if not full[host] then return host end
  end
end
local function pop(host) -- the first callback of the host, which then waits for its next turn
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
  if ids == '' then -- its job has just ended: sort each of its callbacks
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
  if callback and (status == 'succeeded' or status == 'failed') then -- else sent, removed or requeued
    redis.call('ZADD', CALLBACKS, hold, member)
    redis.call('HSET', key, 'held:' .. id, hold)
    table.insert(taken, { songhash, id, hold, status, since or ended, callback, delivery, host })
  end
  popped = popped + 1
end
return { (sorted >= MOST or popped >= MOST) and 1 or 0, taken }
