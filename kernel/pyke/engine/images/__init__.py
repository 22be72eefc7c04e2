"""Images: names, blobs and layers; how they come (load, import, pull, commit) and go (save, push, removal).

door.py is the front door.
"""
