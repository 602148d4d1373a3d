-- record_upkeep: store the progress of the leader's upkeep.
-- ARGV  1 process   2.. field, value of COMPARED; an empty value removes the field
-- returns 1; 0, without any change, where another process leads
-- sent twice: no further change.
local leader = redis.call('GET', LEADER)
if leader and leader ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', COMPARED, ARGV[i])
  else
    redis.call('HSET', COMPARED, ARGV[i], ARGV[i + 1])
  end
end
return 1
