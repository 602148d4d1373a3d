-- bury: move a message that is no job to the dead list, with its reason.
-- KEYS  1 what this worker has taken   2 the dead list
-- ARGV  1 message   2 its entry in the dead list   3 how many entries are kept
-- returns 1, or 0 where the message was not in the worker's list
-- sent twice: the second finds nothing to move.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('LTRIM', KEYS[2], 0, ARGV[3] - 1)
return 1
