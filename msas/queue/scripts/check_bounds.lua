-- check_bounds: check whether one more job of an owner would keep the bounds; return the workers' offers as well.
-- ARGV  1 owner   2 most waiting jobs   3 most unfinished jobs of an owner   4 most cost of these together
-- returns {'', 'full' or 'over_share', number of workers, their offer, ...}: the offers of workers that hold a lease;
--       without such workers, the last offers
local answer = { find_exceeded_bound(ARGV[1], 0, ARGV[2], ARGV[3], ARGV[4]) }
local function add(count, offer) answer[#answer + 1] = count; answer[#answer + 1] = offer end
for offer, count in pairs(living_offers()) do add(count, offer) end
local last = redis.call('GET', OFFER)
if #answer == 1 then
  for _, offer in ipairs(redis.call('HVALS', OFFERS)) do add(1, offer) end
end
if #answer == 1 and last then add(1, last) end
return answer
