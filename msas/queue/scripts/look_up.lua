-- look_up: return what REST must know of a job before it stores the song. A song to be stored is recorded as received.
-- ARGV  1 songhash   2 owner   3 the song's size in bytes; empty where REST will not store it
-- returns {status or '', '1' where a stem was removed, bytes of the owner's pending callbacks, number of removals that
--       have begun, owners separated by spaces}
-- sent twice: the size is added twice; the next comparison counts again.
local status, pruned, owners = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'pruned', 'owners'))
local bytes, removals = redis.call('HGET', CALLBACK_BYTES, ARGV[2]), redis.call('HGET', COUNTERS, 'removals')
if ARGV[3] ~= '' and (not status or status == 'failed' or pruned) then note_received(ARGV[1], ARGV[3]) end
return { status or '', pruned or '', tonumber(bytes or 0), tonumber(removals or 0), owners or '' }
