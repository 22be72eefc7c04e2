"""The engine: the lifecycle of containers, told in the order in which it happens."""
