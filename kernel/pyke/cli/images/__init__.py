"""What is done to images: listed, named, pulled, pushed, carried as files."""
