"""What happens to every request: ids and headers, limits, keys, counts, and errors as answers."""
