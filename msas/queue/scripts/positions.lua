-- positions: compute the positions of several jobs: how many jobs are claimed until a job is. Owners and parked lines
--       take turns; the result assumes that each worker has each model.
-- ARGV  songhashes of queued jobs
-- returns a number from 1 for each; 0 where a job does not wait
local MOST_READ = 1000 -- messages of the list that are compared where foreign ones are among them
local lengths, before = { [''] = redis.call('LLEN', QUEUE) }, {}
local function add(ring, key) -- names of parked lines contain a newline, names of owners do not
  local found = redis.call('ZRANGE', ring, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    before[found[i]] = tonumber(found[i + 1])
    if found[i] ~= '' then lengths[found[i]] = redis.call('ZCARD', key(found[i])) end
  end
end
add(RING, line_key)
add(PARKED, parked_key)
local foreign = lengths[''] - redis.call('ZCARD', line_key(''))
local function index_in_list(songhash)
  local message = redis.call('HGET', job_key(songhash), 'message')
  local at = message and redis.call('LPOS', QUEUE, message, 'RANK', -1, 'MAXLEN', MOST_READ)
  return at and lengths[''] - at - 1
end
local function position(songhash)
  local owner = owner_of(songhash)
  local index, line = redis.call('ZRANK', line_key(owner), songhash), parked_line(songhash)
  local parked = lengths[line] and redis.call('ZRANK', parked_key(line), songhash)
  if parked then index, owner = parked, line end
  if not index then -- `refill_queue` moved it to the list, or it does not wait
    index, owner = index_in_list(songhash), ''
  elseif owner == '' and foreign ~= 0 then
    index = index_in_list(songhash) or math.max(0, index + foreign)
  end
  if not index then return 0 end
  local ahead = index
  for other, length in pairs(lengths) do
    if other ~= owner then
      local first = (before[other] or 0) < (before[owner] or 0)
      ahead = ahead + math.min(length, index + (first and 1 or 0))
    end
  end
  return ahead + 1
end
local found = {}
for i, songhash in ipairs(ARGV) do found[i] = position(songhash) end
return found
