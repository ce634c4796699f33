"""Containers: run them, look into them, from Python."""
