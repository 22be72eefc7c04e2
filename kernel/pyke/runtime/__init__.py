"""The native runtime: spawner, monitor and init, in a lean Python that imports nothing which costs milliseconds."""
