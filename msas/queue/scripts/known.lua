-- known: what REST must know of a job before it stores its song.
-- ARGV  1 songhash   2 owner
-- returns {status or '', '1' where it lost a stem, bytes of the owner's callbacks that wait, removals begun so far,
--       names of its owners, with spaces between them}
local status, pruned, owners = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'pruned', 'owners'))
local bytes, removals = redis.call('HGET', CALLBACK_BYTES, ARGV[2]), redis.call('HGET', COUNTERS, 'removals')
return { status or '', pruned or '', tonumber(bytes or 0), tonumber(removals or 0), owners or '' }
