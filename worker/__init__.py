"""The worker: claims a job, separates its song, stores the stems, and settles the job."""
