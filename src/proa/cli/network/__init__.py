"""The commands of `proa network`."""
