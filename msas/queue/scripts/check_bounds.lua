-- check_bounds: whether one more job of an owner keeps the bounds, and what the workers offer.
-- ARGV  1 owner   2 how many jobs may wait   3 how many of one owner may be unfinished   4 and of what cost in all
-- returns {'', 'full' or 'over_share', how many workers offer the same, what they offer, ...}: of those that hold a lease;
--       where none does, what was offered last
local answer = { find_exceeded_bound(ARGV[1], 0, ARGV[2], ARGV[3], ARGV[4]) }
local function add(count, offer) answer[#answer + 1] = count; answer[#answer + 1] = offer end
for offer, count in pairs(living_offers()) do add(count, offer) end
local last = redis.call('GET', OFFER)
if #answer == 1 then
  for _, offer in ipairs(redis.call('HVALS', OFFERS)) do add(1, offer) end
end
if #answer == 1 and last then add(1, last) end
return answer
