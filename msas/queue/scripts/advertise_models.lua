-- advertise_models: store which models a worker has.
-- ARGV  1 worker   2 its offer as JSON; the field `per_worker` tells it from offers of previous releases
-- sent twice: no further change.
-- REST of the previous release reads OFFER, which workers of that release write as well.
local last = redis.call('GET', OFFER)
if last and last ~= 'null' and not cjson.decode(last).per_worker then redis.call('HSET', OFFERS, '', last) end
redis.call('SET', OFFER, ARGV[2])
redis.call('HSET', OFFERS, ARGV[1], ARGV[2])
