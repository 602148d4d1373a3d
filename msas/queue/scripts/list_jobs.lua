-- list_jobs: return the songhashes of a page of the waiting jobs, oldest first; of the running jobs; of delayed jobs.
-- ARGV  1 how many waiting jobs to skip   2 most jobs to return   3 '1': only jobs of one owner   4 the owner
-- returns {waiting, running, delayed, number of waiting jobs}. The lines of several owners follow each other.
-- The script returns songhashes, not messages, because messages of the first version contain whole songs.
local skip, most, all, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] ~= '1', ARGV[4]
local function is_wanted(songhash)
  if all or not songhash then return songhash end
  local owners = redis.call('HGET', job_key(songhash), 'owners') or owner_of(songhash)
  return string.find(' ' .. owners .. ' ', ' ' .. owner .. ' ', 1, true)
end
local function hashes(messages, into)
  for i = #messages, 1, -1 do
    local songhash = parse_songhash(messages[i])
    if is_wanted(songhash) then into[#into + 1] = songhash end
  end
  return into
end
local waiting, count = {}, 0
local function add(length, read) -- read(first, last) adds these jobs, counted from 0, to `waiting`
  local first = math.max(skip - count, 0)
  local last = math.min(skip + most - count, length) - 1
  if first <= last then read(first, last) end
  count = count + length
end
local function add_set(key)
  add(redis.call('ZCARD', key), function(first, last)
    for _, songhash in ipairs(redis.call('ZRANGE', key, first, last)) do
      if is_wanted(songhash) then waiting[#waiting + 1] = songhash end
    end
  end)
end
local fed = hashes({ redis.call('LINDEX', QUEUE, -1) or '' }, {})[1]
if all or owner == '' then
  add(redis.call('LLEN', QUEUE), function(first, last)
    hashes(redis.call('LRANGE', QUEUE, -1 - last, -1 - first), waiting)
  end)
elseif fed then
  add(1, function() waiting[1] = fed end)
end
if all then
  for _, name in ipairs(redis.call('ZRANGE', RING, 0, -1)) do if name ~= '' then add_set(line_key(name)) end end
elseif owner ~= '' then
  add_set(line_key(owner))
end
for _, name in ipairs(redis.call('ZRANGE', PARKED, 0, -1)) do
  if all or string.match(name, '\n(.*)$') == owner then add_set(parked_key(name)) end
end
local running = {}
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
  hashes(redis.call('LRANGE', run_key(worker), 0, -1), running)
end
return { waiting, running, hashes(redis.call('ZREVRANGE', DELAYED, -most, -1), {}), count }
