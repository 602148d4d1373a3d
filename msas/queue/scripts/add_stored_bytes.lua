-- add_stored_bytes: note that the store holds more or fewer bytes.
-- ARGV  1 how many more; fewer where it is negative
-- sent twice: they are counted twice, until the store is counted anew.
add_stored_bytes(ARGV[1])
