-- prelude: keys and functions of all scripts: lines of owners, parked jobs, bounds, callbacks, retries, ends of jobs.
-- Put in front of each script, after the settings LEASE and RETRY in ms. KEYS[1] is the queue; all other keys are named
-- after it, so that they share its slot.
local PREFIX, CALLBACKS = '{' .. KEYS[1] .. '}:', '{' .. KEYS[1] .. '}:callbacks'
local QUEUE, DELAYED, DEAD, WORKERS = KEYS[1], PREFIX .. 'delayed', PREFIX .. 'dead', PREFIX .. 'workers'
local CLAIMS, STRAYS, ENDED, TICK = PREFIX .. 'claims', PREFIX .. 'strays', PREFIX .. 'ended', PREFIX .. 'tick'
local REMOVED, CALLBACK_BYTES = PREFIX .. 'removed', PREFIX .. 'callback_bytes'
local RING, COUNTERS, LEADER = PREFIX .. 'ring', PREFIX .. 'counters', PREFIX .. 'leader'
local RECEIVED, COMPARED = PREFIX .. 'received', PREFIX .. 'compared'
local PARKED, OFFERS, OFFER = PREFIX .. 'parked', PREFIX .. 'offers', PREFIX .. 'offer'
local COSTS, JOB_COUNTS = PREFIX .. 'costs', PREFIX .. 'jobs' -- of each owner's unfinished jobs
local MOST_ATTEMPTS, MOST_WAITS, MOST_LOST = 3, 50, 6 -- failed attempts, postponements and lost workers of a job
local LONGEST_RETRY, DEAD_KEPT = 300 * 1000, 1000
local CALLBACK_OVERHEAD = 300 -- bytes that Redis needs for a callback beside its JSON
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)
local function job_key(songhash) return PREFIX .. 'job:' .. songhash end
local function run_key(worker) return PREFIX .. 'run:' .. worker end
local function line_key(owner) return PREFIX .. 'line:' .. owner end
local function parked_key(name) return PREFIX .. 'parked:' .. name end
local function owner_of(songhash) return redis.call('HGET', job_key(songhash), 'owner') or '' end
local function parse_songhash(message) return string.match(message, '"hash"%s*:%s*"(%x+)"') end
local function next_number(name) return redis.call('HINCRBY', COUNTERS, name, 1) end

-- Offers. OFFERS has each worker's models as JSON, and under '' the offer of workers of the previous release. These do
-- not know of parked jobs, and run the scripts of their release.
local function living_offers(except) -- return the number of workers with a lease by their offer, without `except`
  local counts, workers = {}, redis.call('ZRANGEBYSCORE', WORKERS, '(' .. NOW, '+inf')
  local before = redis.call('HGET', OFFERS, '')
  for _, worker in ipairs(workers) do
    local offer = worker ~= except and (redis.call('HGET', OFFERS, worker) or (not except and before))
    if offer then counts[offer] = (counts[offer] or 0) + 1 end
  end
  return counts
end
local function offers_model(offer, model)
  for _, each in ipairs(cjson.decode(offer).models or {}) do if each.name == model then return true end end
  return model == ''
end
local function is_offered(model, except) -- by a worker with a lease that knows of parked jobs, without `except`
  for offer in pairs(living_offers(except)) do if offers_model(offer, model) then return true end end
  return false
end

-- Parked jobs. A job that a worker took, but whose model it lacks, is parked in a line of its model and its owner, a
-- sorted set of songhashes. PARKED has the names of these lines by the number of their turn, as RING has the owners.
local function parked_line(songhash) -- the name of the line in which this job is parked, if it is
  local model, owner = unpack(redis.call('HMGET', job_key(songhash), 'model', 'owner'))
  return (model or '') .. '\n' .. (owner or '')
end
local function park(songhash, at_head) -- move a queued job from its owner's line to its parked line
  local name = parked_line(songhash)
  local first = at_head and redis.call('ZRANGE', parked_key(name), 0, 0, 'WITHSCORES')[2]
  redis.call('ZREM', line_key(owner_of(songhash)), songhash)
  redis.call('ZADD', parked_key(name), 'NX', first and first - 1 or next_number('line'), songhash)
  redis.call('ZADD', PARKED, 'NX', next_number('turn'), name)
  redis.call('HSET', COUNTERS, 'parked_at', NOW)
end
local function leave_parked(name, songhash) -- return 1 where the job was parked, else 0
  local removed = redis.call('ZREM', parked_key(name), songhash)
  if removed == 1 and redis.call('EXISTS', parked_key(name)) == 0 then redis.call('ZREM', PARKED, name) end
  return removed
end
local function unpark(songhash) return leave_parked(parked_line(songhash), songhash) end
local function may_run(songhash, worker, models) -- whether the worker has the job's model, and need not avoid the job
  local model, avoided = unpack(redis.call('HMGET', job_key(songhash), 'model', 'avoid'))
  model = model or ''
  if models and model ~= '' and not models[model] then return false end
  local ends, failed = string.match(avoided or '', '^(%d+) (.*)$')
  return not (failed == worker and NOW < tonumber(ends) and is_offered(model, worker))
end
local function model_set(names) -- of a JSON list; nil where the list is empty: any model
  if names == '' then return nil end
  local set = {}
  for _, name in ipairs(cjson.decode(names)) do set[name] = true end
  return set
end

-- Lines. A job of an owner waits in the owner's line, a sorted set of songhashes. All other messages wait in the list
-- QUEUE, to which foreign producers push, too; the line of the owner '' repeats the order of that list, for positions.
-- The ring has the owners whose jobs wait; the owner with the lowest number has the next turn.
-- Workers block on QUEUE, so it must not be empty while an owner's job waits: `refill_queue` moves one job there.
-- Remove the job whose owner has the next turn; return its message and that turn; nil where it is the turn of QUEUE.
local function pop_from_owners()
  local found = redis.call('ZRANGE', RING, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local owner = found[i]
    if owner == '' and redis.call('EXISTS', QUEUE) == 1 then return nil end
    local songhash = owner ~= '' and redis.call('ZPOPMIN', line_key(owner))[1]
    if songhash and redis.call('EXISTS', line_key(owner)) == 1 then
      redis.call('ZADD', RING, next_number('turn'), owner)
    else
      redis.call('ZREM', RING, owner)
    end
    if songhash then return redis.call('HGET', job_key(songhash), 'message'), found[i + 1] end
  end
end
local function refill_queue()
  if redis.call('EXISTS', QUEUE) == 1 then return end
  local message, turn = pop_from_owners()
  if message then redis.call('RPUSH', QUEUE, message) end
  if turn then redis.call('HSET', COUNTERS, 'fed', turn) end -- the job keeps its turn among the parked lines
end
local function is_parked_at_once(songhash, at_head)
  -- A requeued job goes before the parked jobs of its model and owner, which were behind it.
  if at_head and redis.call('EXISTS', parked_key(parked_line(songhash))) == 1 then return true end
  -- Workers of the previous release take any job from the lines, also for models that they lack.
  local before = redis.call('HGET', OFFERS, '')
  local model = before and redis.call('HGET', job_key(songhash), 'model') or ''
  return before and model ~= '' and not offers_model(before, model)
end
local function put_in_line(songhash, message, at_head) -- a message other than the queued job's own goes to QUEUE
  local key = job_key(songhash or '')
  local status, queued_message, owner = unpack(redis.call('HMGET', key, 'status', 'message', 'owner'))
  local known, number = status == 'queued' and queued_message == message, next_number('line')
  if known and is_parked_at_once(songhash, at_head) then return park(songhash, at_head) end
  local line = line_key(known and owner or '')
  local first = at_head and redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')[2]
  if known then redis.call('ZADD', line, first and first - 1 or number, songhash) end
  if line == line_key('') then return redis.call(at_head and 'RPUSH' or 'LPUSH', QUEUE, message) end
  redis.call('ZADD', RING, 'NX', next_number('turn'), owner)
  refill_queue()
end
local function take_out_of_line(songhash, message) -- return the number of copies that waited
  local owner = owner_of(songhash)
  local copies = redis.call('ZREM', line_key(owner), songhash)
  if owner == '' then copies = 0 end -- the same job is in QUEUE, or a worker took it and has not claimed it
  copies = copies + unpark(songhash) + redis.call('LREM', QUEUE, 0, message) + redis.call('ZREM', DELAYED, message)
  refill_queue()
  return copies
end
local function count_waiting()
  local count = redis.call('LLEN', QUEUE) + redis.call('ZCARD', DELAYED)
  for _, owner in ipairs(redis.call('ZRANGE', RING, 0, -1)) do
    if owner ~= '' then count = count + redis.call('ZCARD', line_key(owner)) end
  end
  for _, name in ipairs(redis.call('ZRANGE', PARKED, 0, -1)) do
    count = count + redis.call('ZCARD', parked_key(name))
  end
  return count
end

-- Bounds. `charged` is the job's cost, which counts in its owner's share until the job has ended.
-- Return the bound that one more job exceeds: 'full', 'over_share', or ''. A bound of 0 does not hold.
local function find_exceeded_bound(owner, cost, most_jobs, most_of_owner, most_cost)
  local function is_over(value, most) return tonumber(most) > 0 and value > tonumber(most) end
  if is_over(count_waiting() + 1, most_jobs) then return 'full' end
  local jobs, costs = redis.call('HGET', JOB_COUNTS, owner) or 0, redis.call('HGET', COSTS, owner) or 0
  if owner ~= '' and (is_over(jobs + 1, most_of_owner) or is_over(costs + cost, most_cost)) then return 'over_share' end
  return ''
end
local function charge(songhash, owner, cost)
  redis.call('HSET', job_key(songhash), 'charged', cost)
  redis.call('HINCRBYFLOAT', COSTS, owner, cost)
  redis.call('HINCRBY', JOB_COUNTS, owner, 1)
end
local function refund(songhash)
  local key = job_key(songhash)
  local cost, owner = unpack(redis.call('HMGET', key, 'charged', 'owner'))
  if not cost then return end
  owner = owner or ''
  redis.call('HDEL', key, 'charged')
  redis.call('HINCRBYFLOAT', COSTS, owner, '-' .. cost)
  if redis.call('HINCRBY', JOB_COUNTS, owner, -1) <= 0 then -- sums of fractions may not end at 0
    redis.call('HDEL', JOB_COUNTS, owner)
    redis.call('HDEL', COSTS, owner)
  end
end

local function count_callbacks(key, sign, ids) -- add (1) or subtract (-1) their bytes; without `ids` of all callbacks
  for id in string.gmatch(ids or redis.call('HGET', key, 'callbacks') or '', '%x+') do
    local owner, bytes = redis.call('HGET', key, 'owner:' .. id), redis.call('HSTRLEN', key, 'callback:' .. id)
    local change = sign * (bytes + CALLBACK_OVERHEAD)
    if owner and bytes > 0 and redis.call('HINCRBY', CALLBACK_BYTES, owner, change) <= 0 then
      redis.call('HDEL', CALLBACK_BYTES, owner)
    end
  end
end
local function add_owners(songhash, names) -- `names` and the field `owners` are names separated by spaces
  local known = redis.call('HGET', job_key(songhash), 'owners') or owner_of(songhash)
  for name in string.gmatch(names, '%S+') do
    if not string.find(' ' .. known .. ' ', ' ' .. name .. ' ', 1, true) then known = known .. ' ' .. name end
  end
  if known ~= '' then redis.call('HSET', job_key(songhash), 'owners', known) end
end

local function add_stored_bytes(bytes) -- only after the store was counted
  if redis.call('HEXISTS', COMPARED, 'stored_bytes') == 0 then return end
  if redis.call('HINCRBY', COMPARED, 'stored_bytes', bytes) < 0 then redis.call('HSET', COMPARED, 'stored_bytes', 0) end
end
local function note_received(songhash, bytes) -- a process begins to store a song, which a sweep is to check
  redis.call('ZADD', RECEIVED, NOW, songhash)
  add_stored_bytes(bytes)
end
local function dead_letter(entry) -- the newest is the first
  redis.call('LPUSH', DEAD, entry)
  redis.call('LTRIM', DEAD, 0, DEAD_KEPT - 1)
end
local function rewrite_hash(key) -- a hash that had a long value takes three times the memory until it is rewritten
  local fields = redis.call('HGETALL', key)
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(fields))
end
local function finish(songhash, status, at, ...) -- end the job; further arguments are field, value
  refund(songhash)
  redis.call('ZREM', line_key(owner_of(songhash)), songhash)
  unpark(songhash)
  redis.call('HDEL', job_key(songhash), 'message', 'token', 'worker', 'stage', 'avoid')
  if status == 'succeeded' then -- these facts are in the report
    redis.call('HDEL', job_key(songhash), 'name', 'model', 'options', 'seconds', 'progress', 'error', 'waits', 'lost')
  end
  redis.call('HSET', job_key(songhash), 'status', status, 'ended_at', at, ...)
  if status == 'succeeded' then
    if redis.call('HEXISTS', job_key(songhash), 'owners') == 1 then redis.call('HDEL', job_key(songhash), 'owner') end
    rewrite_hash(job_key(songhash))
  end
  redis.call('ZADD', ENDED, at, songhash)
  if redis.call('HEXISTS', job_key(songhash), 'callbacks') == 1 then redis.call('ZADD', CALLBACKS, NOW, songhash) end
end
local function requeue(songhash, message) -- make the job wait again; the caller adds it to a line or to DELAYED
  redis.call('HDEL', job_key(songhash), 'token', 'worker', 'stage', 'progress', 'started_at')
  redis.call('HSET', job_key(songhash), 'status', 'queued', 'message', message)
end
-- Delay the job's next attempt, twice as long after each one; after `most` attempts it fails and is a dead letter.
local function schedule_retry(songhash, message, tries, most, error)
  if tries >= most then
    finish(songhash, 'failed', NOW, 'error', error)
    return dead_letter(cjson.encode({ hash = songhash, reason = cjson.decode(error).message, at = NOW }))
  end
  requeue(songhash, message)
  redis.call('HSET', job_key(songhash), 'error', error)
  redis.call('ZADD', DELAYED, NOW + math.min(RETRY * 2 ^ (tries - 1), LONGEST_RETRY), message)
end
