"""Transcripts that runtimes keep of their sessions, read line by line into one shape.

A reader never fails because of a line: one that is broken or of an unknown kind is passed over or is ``other``.
Runtimes whose files are not documented well enough have no reader.
"""
