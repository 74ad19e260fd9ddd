"""tmux sessions of agents: made, launched, shown, typed into, ended, and kept right when people move them."""
