"""One module for each verb: its line of help, its arguments, and what it does.

All are imported to make `plansmith --help`, so what is heavy is imported by `run` alone.
"""
