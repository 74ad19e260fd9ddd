"""Role templates: what an agent of a role does first, how it reports, what it does not touch."""
