"""The client of registries: resolve, fetch, push (OCI distribution-spec 1.1, Docker Registry HTTP
API V2). It knows the store's terms, and neither images nor what is done with them.

Imported by what talks to registries only: urllib3 alone takes longer than starting a container.
"""
