"""What is asked of registries beside pull and push: login, search, manifests."""
