"""Named volumes: what they are called, what the local driver does, how they get their content.

Data and the kernel's calls; who has which volume is the store's to know, and when something is
mounted the monitor's. Knows no images and no runtime.
"""
