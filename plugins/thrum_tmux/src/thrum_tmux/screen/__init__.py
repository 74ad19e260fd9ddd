"""What a screen says: who gets the next key, what stands in the prompt box. Pure; it knows no tmux and no runtime."""
