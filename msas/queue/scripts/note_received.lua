-- note_received: record that a process begins to store a song and its job's message, so that a sweep checks the song.
-- ARGV  1 songhash   2 the song's size in bytes
-- sent twice: the size is added twice; the next comparison counts again.
note_received(ARGV[1], ARGV[2])
