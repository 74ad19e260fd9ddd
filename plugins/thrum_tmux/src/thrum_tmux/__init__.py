"""Agents in tmux panes: their sessions, what their panes show, and how they are typed to."""
