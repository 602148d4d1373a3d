-- overview: the songhashes that wait, oldest first, and those that run.
-- KEYS  1 all workers' leases   2 the queue
-- ARGV  1 prefix of our keys
-- returns {waiting, running}
-- The hashes are cut out here, because messages of the first version carry whole songs.
local function hash(message)
  return string.match(message, '"hash"%s*:%s*"(%x+)"')
end
local waiting, running = {}, {}
local messages = redis.call('LRANGE', KEYS[2], 0, -1)
for i = #messages, 1, -1 do
  waiting[#waiting + 1] = hash(messages[i])
end
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  for _, message in ipairs(redis.call('LRANGE', ARGV[1] .. 'run:' .. worker, 0, -1)) do
    running[#running + 1] = hash(message)
  end
end
return { waiting, running }
