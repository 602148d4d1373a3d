"""The engine room: claim a job, separate its song, encode and store the stems, settle."""
