-- add_stored_bytes: add to the number of bytes in the store.
-- ARGV  1 bytes, negative after a removal
-- sent twice: they are added twice; the next comparison counts again.
add_stored_bytes(ARGV[1])
