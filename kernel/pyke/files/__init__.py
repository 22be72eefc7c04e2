"""The process that works on a container's files, and nobody else does: `cp`, `diff`, `export`, and the layer of a `commit`.

The engine starts one for each job (engine/containers/helpers.py), lean and with a fixed environment. It mounts the container's snapshot in
a mount namespace of its own, or fetches the root of a running container's, and reaches everything below by descriptors alone. Its own root
stays the host's: no library or program of the container is ever looked for (CVE-2019-14271).
"""
