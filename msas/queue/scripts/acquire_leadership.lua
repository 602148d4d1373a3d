-- acquire_leadership: make a process the leader for a time, or renew its leadership, unless another process leads.
-- ARGV  1 process   2 time in ms
-- returns 1 where the process leads, else 0
-- sent twice: the leadership is renewed.
local leader = redis.call('GET', LEADER)
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', LEADER, ARGV[1], 'PX', ARGV[2])
return 1
