-- add_owners: add owners to a job.
-- ARGV  1 songhash   2 names, separated by spaces
-- sent twice: no further change.
if redis.call('EXISTS', job_key(ARGV[1])) == 1 then add_owners(ARGV[1], ARGV[2]) end
