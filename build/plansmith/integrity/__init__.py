"""Is what would be served what was published, and by whom? Signatures, pickles, files beside it."""
