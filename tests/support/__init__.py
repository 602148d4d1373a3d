"""What the tests share: servers, processes, faults and audio."""
