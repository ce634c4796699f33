"""The language of Dockerfiles (syntax 1.x, as BuildKit documents it). Pure: text in, data out.

Nothing here touches a file, a process or a network: `read` makes instructions of a Dockerfile's
text, `expand` fills in their variables, `lint` says what is questionable, `ignore` decides on
paths by the patterns of a .dockerignore file.
"""
