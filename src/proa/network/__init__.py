"""Networks of containers: addresses, bridges, published ports, and the kernel's rules for them."""
