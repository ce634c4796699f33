"""Building images: a Dockerfile becomes a graph of operations, and the graph is solved."""
