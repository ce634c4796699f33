"""An OCI runtime: it is given a bundle, and knows nothing of images or of Docker."""
