"""Engines as files: what one was built with, what its header says, and where it will load. Pure."""
