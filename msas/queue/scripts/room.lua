-- room: whether one more job of an owner keeps the bounds, and what the workers offer.
-- ARGV  1 owner   2 how many jobs may wait   3 how many of one owner may be unfinished   4 and of what cost in all
-- returns {'', 'full' or 'over_share', the offer or nil}
return { exceeded(ARGV[1], 0, ARGV[2], ARGV[3], ARGV[4]), redis.call('GET', PREFIX .. 'offer') }
