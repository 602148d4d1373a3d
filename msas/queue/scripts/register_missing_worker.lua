-- register_missing_worker: give a lease to a worker that has a message, but that Redis lost.
-- ARGV  1 worker
-- returns 1 where it was not registered, else 0
-- sent twice: the second call finds it registered.
return redis.call('ZADD', WORKERS, 'NX', NOW + LEASE, ARGV[1])
