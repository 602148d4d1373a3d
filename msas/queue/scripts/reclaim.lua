-- reclaim: requeue jobs whose retry is due and jobs of lost workers. Any process may call it at any time.
-- ARGV  1 a worker that deregisters: its job is reclaimed at once; empty: all workers whose lease has ended
-- sent twice: the second call comes too early, or finds nothing.
-- After an outage in which no process called this (or after Redis' clock jumped) all leases have ended: each worker
-- gets a new lease then. A worker stays registered for an hour, since a paused worker may still take a message.
local FORGET, MOST_STRAYS = 3600 * 1000, 10
local LOST = cjson.encode({ code = 'worker_lost',
  message = 'The worker was lost (killed, out of memory, or unreachable) while it worked on this song.' })
local function reclaim(worker, message)
  local digest = redis.sha1hex(message)
  local songhash, claimed = string.match(redis.call('HGET', CLAIMS, worker) or '', '^(%x+) (%x+)$')
  if claimed ~= digest then songhash = string.match(message, '^{"hash":"(%x+)"') end -- a message that REST enqueued
  local key = job_key(songhash or '')
  local status, holder = unpack(redis.call('HMGET', key, 'status', 'worker'))
  local running = status == 'running' and holder == worker
  if claimed ~= digest and not running then -- lost before the claim: counts only if it repeats
    local strays = redis.call('HINCRBY', STRAYS, digest, 1)
    redis.call('PEXPIRE', STRAYS, FORGET)
    if strays < MOST_STRAYS then return put_in_line(songhash, message, true) end
    redis.call('HDEL', STRAYS, digest)
    if status == 'queued' then finish(songhash, 'failed', NOW, 'error', LOST) end
    local reason = 'worker after worker was lost on reading it'
    dead_letter(cjson.encode({ reason = reason, sha1 = digest, bytes = #message }))
  elseif not status or status == 'queued' then
    put_in_line(songhash, message, true)
  elseif running then
    schedule_retry(songhash, message, redis.call('HINCRBY', key, 'lost', 1), MOST_LOST, LOST)
  elseif holder == worker then
    redis.call('HDEL', key, 'token', 'worker') -- cancelled: no worker holds it any more
  end -- else it has ended or another worker holds it: drop the copy
end
local function reap(worker)
  for _, message in ipairs(redis.call('LRANGE', run_key(worker), 0, -1)) do reclaim(worker, message) end
  redis.call('DEL', run_key(worker))
end
local function remove_offers() -- of unregistered workers; without any worker the last offers stay
  if redis.call('ZCOUNT', WORKERS, NOW, '+inf') == 0 then return end
  local others = false -- workers of the previous release
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
    others = others or redis.call('HEXISTS', OFFERS, worker) == 0
  end
  for _, worker in ipairs(redis.call('HKEYS', OFFERS)) do
    if not (worker == '' and others) and not redis.call('ZSCORE', WORKERS, worker) then
      redis.call('HDEL', OFFERS, worker)
    end
  end
end
local function forget(worker) redis.call('ZREM', WORKERS, worker) redis.call('HDEL', CLAIMS, worker) end
if ARGV[1] ~= '' then reap(ARGV[1]) return forget(ARGV[1]) end
local last = tonumber(redis.call('GET', TICK) or '0')
if last <= NOW and NOW < last + LEASE / 6 then return end
redis.call('SET', TICK, NOW)
refill_queue()
for _, range in ipairs({ { NOW, '-inf' }, { '+inf', '(' .. NOW + LONGEST_RETRY } }) do -- second: the clock was set back
  for _, message in ipairs(redis.call('ZREVRANGEBYSCORE', DELAYED, range[1], range[2])) do
    redis.call('ZREM', DELAYED, message)
    put_in_line(parse_songhash(message), message, true)
  end
end
if NOW < last or last + LEASE < NOW then
  for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do redis.call('ZADD', WORKERS, NOW + LEASE, worker) end
  return
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '-inf', NOW)) do
  reap(worker)
  if tonumber(redis.call('ZSCORE', WORKERS, worker)) < NOW - FORGET then forget(worker) end
end
remove_offers()
