"""The upkeep: what runs beside the requests so that nothing is lost and nothing is left over."""
