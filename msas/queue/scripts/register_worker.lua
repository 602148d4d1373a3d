-- register_worker: make a worker known again that holds something, but that a Redis which lost its last seconds forgot.
-- ARGV  1 worker
-- returns 1 where it was unknown, else 0
-- sent twice: the second finds it known.
return redis.call('ZADD', WORKERS, 'NX', NOW + LEASE, ARGV[1])
