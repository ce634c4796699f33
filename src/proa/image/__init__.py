"""Images as immutable views, and the ways in and out of the store."""
