"""`pyke volume ...`"""
