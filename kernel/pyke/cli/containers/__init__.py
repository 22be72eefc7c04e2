"""What is done to containers: `pyke run`, `ps`, `exec`, `logs`, `cp` and their like, each in a file of its own."""
