"""Making a model smaller or cheaper to run, and telling by how much."""
