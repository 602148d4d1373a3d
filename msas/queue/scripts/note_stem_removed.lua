-- note_stem_removed: record that a stem of a succeeded job is removed; the same song, sent again, is separated again.
-- ARGV  1 songhash   2 the version that the remover read: time of the end, space, number of removed stems; without the
--       number, any   3 empty; or the owner that removes the stem
-- returns 1; 0 where the job is unknown or has not succeeded; -1 where it has other owners; -2 where its version has
--       changed: in these cases nothing changes
-- sent twice: the second call finds another version.
local status, owners, ended, pruned =
  unpack(redis.call('HMGET', job_key(ARGV[1]), 'status', 'owners', 'ended_at', 'pruned'))
if status ~= 'succeeded' then return 0 end
if ARGV[3] ~= '' and string.find(owners or '', '%S%s+%S') then return -1 end
local expected_end, expected = string.match(ARGV[2], '^(%S*) (%S*)$')
if expected_end ~= ended or (expected ~= '' and expected ~= (pruned or '0')) then return -2 end
redis.call('HINCRBY', job_key(ARGV[1]), 'pruned', 1)
return 1
