"""Versions after they were built: their history, and which of them a server answers with."""
