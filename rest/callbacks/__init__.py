"""How somebody is told that a job has ended, without a way into the cluster's own network."""
