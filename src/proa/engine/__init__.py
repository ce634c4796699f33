"""The use cases: what a user of containers does, as methods."""
