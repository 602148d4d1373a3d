-- overview: the songhashes that wait, oldest first; that run; that wait for their next try.
-- returns {waiting, running, delayed}
-- The hashes are cut out here, because messages of the first version carry whole songs.
local function hashes(messages, into)
  for i = #messages, 1, -1 do into[#into + 1] = string.match(messages[i], '"hash"%s*:%s*"(%x+)"') end
  return into
end
local running = {}
for _, worker in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
  hashes(redis.call('LRANGE', taken_key(worker), 0, -1), running)
end
return { hashes(redis.call('LRANGE', QUEUE, 0, -1), {}), running, hashes(redis.call('ZREVRANGE', DELAYED, 0, -1), {}) }
