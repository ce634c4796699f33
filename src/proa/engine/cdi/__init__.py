"""Devices by name: the Container Device Interface, as vendors describe theirs in /etc/cdi.

A specification says what a container needs for a device: nodes, mounts, variables, hooks. Here
they are found (`registry`), read and checked (`document`), chosen for what a user asked
(`requests`), and put into the form of OCI's runtime spec, which the monitor merges at each start.

Source: CDI specification, SPEC.md, versions 0.1 to 1.0.
"""
