"""The command `proa-runtime`: an OCI runtime with runc's command line, for any engine to use."""
