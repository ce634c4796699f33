"""The process that stays with a container: stdio, log, exit code, restart policy."""
