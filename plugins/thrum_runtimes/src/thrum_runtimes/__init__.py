"""Thrum and AI coding runtimes: presets, detection, files for a repository, skills, transcripts, evidence."""
