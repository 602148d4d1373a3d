-- advertise_models: note which models a worker has.
-- ARGV  1 worker   2 what it offers, as JSON: with `per_worker`, by which it differs from the offers of earlier releases
-- sent twice: the same again.
-- REST of the release before reads OFFER, which its workers write, too.
local last = redis.call('GET', OFFER)
if last and last ~= 'null' and not cjson.decode(last).per_worker then redis.call('HSET', OFFERS, '', last) end
redis.call('SET', OFFER, ARGV[2])
redis.call('HSET', OFFERS, ARGV[1], ARGV[2])
