"""`pyke network ...`"""
