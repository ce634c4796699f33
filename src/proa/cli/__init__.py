"""The command: flags in, text out, exit codes. Everything else is the engine's."""
