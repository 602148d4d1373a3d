-- release_leadership: end the leadership of a process.
-- ARGV  1 process
-- returns 1 where it led, else 0
-- sent twice: it no longer leads.
if redis.call('GET', LEADER) ~= ARGV[1] then return 0 end
return redis.call('DEL', LEADER)
