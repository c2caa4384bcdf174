"""Golden answers: rows, and what the original answers to them; kept with a version, asked again."""
