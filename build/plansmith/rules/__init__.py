"""Triton's rules for a model repository, decided offline: every one with an id, a line and a fix.

`reading` gathers the facts from a folder, once; the modules of one topic each hold pure rules over
them; `table` lists all rules and `checking` runs them. docs/rules.md is the table for people.
"""
