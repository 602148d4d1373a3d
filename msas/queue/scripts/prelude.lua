-- What every script begins with. KEYS[1] is the queue; all our other keys are named after it and share its slot.
-- Scripts puts the settings before it, in ms: LEASE, RETRY.
local PREFIX, CALLBACKS = '{' .. KEYS[1] .. '}:', '{' .. KEYS[1] .. '}:callbacks'
local QUEUE, DELAYED, DEAD, WORKERS = KEYS[1], PREFIX .. 'delayed', PREFIX .. 'dead', PREFIX .. 'workers'
local CLAIMS, STRAYS, ENDED, TICK = PREFIX .. 'claims', PREFIX .. 'strays', PREFIX .. 'ended', PREFIX .. 'tick'
local REMOVED, CALLBACK_BYTES = PREFIX .. 'removed', PREFIX .. 'callback_bytes'
local ATTEMPTS, LONGEST_RETRY, DEAD_KEPT = 3, 300 * 1000, 1000
local CALLBACK_OVERHEAD = 300 -- bytes that Redis needs for a callback beside its JSON
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local function job_key(songhash) return PREFIX .. 'job:' .. songhash end
local function taken_key(worker) return PREFIX .. 'run:' .. worker end
local function count_callbacks(key, sign, ids) -- the job has them (1), or loses them (-1); without `ids` all of its own
  for id in string.gmatch(ids or redis.call('HGET', key, 'callbacks') or '', '%x+') do
    local owner, bytes = redis.call('HGET', key, 'owner:' .. id), redis.call('HSTRLEN', key, 'callback:' .. id)
    if owner and bytes > 0 and redis.call('HINCRBY', CALLBACK_BYTES, owner, sign * (bytes + CALLBACK_OVERHEAD)) <= 0 then
      redis.call('HDEL', CALLBACK_BYTES, owner)
    end
  end
end
local function bury(entry) -- on the dead list lies what nobody will try again, newest first
  redis.call('LPUSH', DEAD, entry)
  redis.call('LTRIM', DEAD, 0, DEAD_KEPT - 1)
end
local function close(songhash, status, at, ...) -- the job is over; further field, value to set
  redis.call('HDEL', job_key(songhash), 'message', 'token', 'worker', 'stage')
  redis.call('HSET', job_key(songhash), 'status', status, 'ended_at', at, ...)
  redis.call('ZADD', ENDED, at, songhash)
  if redis.call('HEXISTS', job_key(songhash), 'callbacks') == 1 then redis.call('ZADD', CALLBACKS, NOW, songhash) end
end
local function open(songhash, message) -- the job waits again
  redis.call('HDEL', job_key(songhash), 'token', 'worker', 'stage', 'progress', 'started_at')
  redis.call('HSET', job_key(songhash), 'status', 'queued', 'message', message)
end
local function delay(songhash, message, tries, most, error) -- again later, each time twice as late; dead after `most`
  if tries >= most then
    close(songhash, 'failed', NOW, 'error', error)
    return bury(cjson.encode({ hash = songhash, reason = cjson.decode(error).message, at = NOW }))
  end
  open(songhash, message)
  redis.call('HSET', job_key(songhash), 'error', error)
  redis.call('ZADD', DELAYED, NOW + math.min(RETRY * 2 ^ (tries - 1), LONGEST_RETRY), message)
end
