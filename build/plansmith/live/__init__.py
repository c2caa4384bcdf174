"""What a running server has and does, as a table."""
