"""How one song becomes stems in flat memory: decode, separate, encode, measure, publish."""
