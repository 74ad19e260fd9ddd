"""What an agent or a person is told: the briefing, hints around commands, the wizard's questions, the doctor."""
