"""Docker's JSON into model objects: typed, validated, with Docker's words for what is wrong."""
