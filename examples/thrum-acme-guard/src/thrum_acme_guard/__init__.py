"""Members of a team write to each other only."""
