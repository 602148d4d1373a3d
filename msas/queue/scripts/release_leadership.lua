-- release_leadership: end a process's leadership, if it still leads.
-- ARGV  1 the process
-- returns 1 where it led, else 0
-- sent twice: it leads no longer.
if redis.call('GET', LEADER) ~= ARGV[1] then return 0 end
return redis.call('DEL', LEADER)
