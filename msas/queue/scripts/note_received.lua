-- note_received: note that a process begins to store a song and its job's message, so that the leader looks at it soon.
-- ARGV  1 songhash   2 the song's size in bytes
-- sent twice: the size is counted twice, until the store is counted anew.
note_received(ARGV[1], ARGV[2])
