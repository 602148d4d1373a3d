-- look_up: what REST must know of a job before it stores its song. A song that it will store is noted as received.
-- ARGV  1 songhash   2 owner   3 the song's size in bytes; empty where REST will not store it in any case
-- returns {status or '', '1' where it lost a stem, bytes of the owner's callbacks that wait, removals begun so far,
--       names of its owners, with spaces between them}
-- sent twice: the size is counted twice, until the store is counted anew.
local status, pruned, owners = unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'pruned', 'owners'))
local bytes, removals = redis.call('HGET', CALLBACK_BYTES, ARGV[2]), redis.call('HGET', COUNTERS, 'removals')
if ARGV[3] ~= '' and (not status or status == 'failed' or pruned) then note_received(ARGV[1], ARGV[3]) end
return { status or '', pruned or '', tonumber(bytes or 0), tonumber(removals or 0), owners or '' }
