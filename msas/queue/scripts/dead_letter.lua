-- dead_letter: move a message that is no job to the dead letters.
-- ARGV  1 worker   2 message   3 dead letter
-- sent twice: the second call finds no message.
if redis.call('LREM', run_key(ARGV[1]), 1, ARGV[2]) == 1 then dead_letter(ARGV[3]) end
refill_queue()
