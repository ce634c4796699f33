"""The OCI formats as immutable values: no input, no output."""
