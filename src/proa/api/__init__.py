"""The Docker Engine API on an engine: HTTP in, calls of the engine, HTTP out.

A module for each kind of object, which translates and does nothing else. The server holds no state
that a container needs: killing it disturbs none, and several of them may serve one engine.

Docker Engine API, versions 1.24 to 1.50: github.com/moby/moby, api/swagger.yaml.
"""
