-- own: add owners to a job, or take one away.
-- ARGV  1 songhash   2 names to add, with spaces between them   3 the name to take away, unless it is the last; or empty
-- returns how many other owners are left once that one is away; -1 where it is none of the owners
-- sent twice: the same again, or -1.
local key = job_key(ARGV[1])
if redis.call('EXISTS', key) == 0 then return -1 end
add_owners(ARGV[1], ARGV[2])
if ARGV[3] == '' then return 0 end
local others, is_owner = {}, false
for name in string.gmatch(redis.call('HGET', key, 'owners') or owner_of(ARGV[1]), '%S+') do
  if name == ARGV[3] then is_owner = true else others[#others + 1] = name end
end
if not is_owner then return -1 end
if #others > 0 then redis.call('HSET', key, 'owners', table.concat(others, ' ')) end
return #others
