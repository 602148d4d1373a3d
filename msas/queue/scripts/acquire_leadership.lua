-- acquire_leadership: make a process the leader for a time, or let it stay it, if no other one is: the leader reconciles.
-- ARGV  1 the process   2 for how long, in ms
-- returns 1 where it leads, else 0
-- sent twice: it leads already, and for as long from then on.
local leader = redis.call('GET', LEADER)
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', LEADER, ARGV[1], 'PX', ARGV[2])
return 1
