"""What each stage makes from what: the edges that heavy packages are imported behind."""
