"""Layers on disk: applying and comparing changesets, overlay mounts, plain copies."""
