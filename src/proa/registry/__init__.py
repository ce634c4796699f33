"""A registry (OCI distribution-spec 1.1) on the store: it serves the engine's images from where
they are, and keeps what is pushed to it among the same blobs. HTTP is in `server` only.
"""
