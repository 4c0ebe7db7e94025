"""The rollout player: an episode as a widget, its canvas, and playing without a notebook."""
