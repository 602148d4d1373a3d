-- take: renew an idle worker's lease and move the next message into its list: owners in turn, each first in, first out.
-- ARGV  1 worker
-- returns the message; nil where none waits: then the worker blocks on QUEUE
-- sent twice: the second finds the first's message in the worker's list.
redis.call('ZADD', WORKERS, NOW + LEASE, ARGV[1])
local taken = taken_key(ARGV[1])
local held = redis.call('LINDEX', taken, -1)
if held then return held end
feed() -- a worker that blocked takes the last message of the list without it
local head = redis.call('LINDEX', QUEUE, -1)
if not head then
  redis.call('DEL', line_key(''))
  return nil
end
redis.call('ZADD', RING, 'NX', next_number('turn'), '')
local songhash = hash_in(head)
local fed = songhash and owner_of(songhash) ~= '' -- it has waited longer than what is in its owner's line
local message = not fed and pop_owned()
if message then
  redis.call('LPUSH', taken, message)
  return message
end
if not fed then redis.call('ZADD', RING, next_number('turn'), '') end
if songhash then redis.call('ZREM', line_key(''), songhash) end
message = redis.call('LMOVE', QUEUE, taken, 'RIGHT', 'LEFT')
feed()
return message
