"""Long runs: the soak and the mutation gate."""
