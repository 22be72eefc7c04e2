"""The `pyke` command: a thin client of the Engine API. It imports next to nothing, because that is what a command's time goes to."""
