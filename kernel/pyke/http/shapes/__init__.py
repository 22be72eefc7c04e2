"""Model objects as the JSON that Docker's clients expect, shaped by the version of the API that they speak."""
