"""Background maintenance: reclaims lost jobs, restores what Redis lost, deletes what has expired."""
