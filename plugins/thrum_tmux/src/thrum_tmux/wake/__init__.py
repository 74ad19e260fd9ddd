"""Waking an agent by its terminal: when nothing stands in the way, our line alone, Enter, and then proof."""
