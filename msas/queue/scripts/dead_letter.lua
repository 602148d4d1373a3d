-- dead_letter: move a message that is no job to the dead list, with its reason.
-- ARGV  1 worker   2 message   3 its entry in the dead list
-- sent twice: the second finds nothing to move.
if redis.call('LREM', processing_key(ARGV[1]), 1, ARGV[2]) == 1 then dead_letter(ARGV[3]) end
refill_queue()
