"""What is on disk: blobs by digest, metadata in SQLite, leases, locks, collection."""
