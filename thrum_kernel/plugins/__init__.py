"""The machinery that runs what features declare."""
