"""The life of a container: create, start, exits, restarts, stop, remove. What is asked of one meanwhile, and what it is made from.

door.py is the front door.
"""
