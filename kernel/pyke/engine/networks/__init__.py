"""Networks, and the places of containers on them. door.py is the front door."""
