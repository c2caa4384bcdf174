"""Several attempts, several servers: what a call does when the first answer is none."""
