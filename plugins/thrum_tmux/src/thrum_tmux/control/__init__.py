"""tmux's control mode: what it writes, one light client a session, and one thread that hears them all."""
