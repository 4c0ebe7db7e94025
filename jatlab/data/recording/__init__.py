"""Recording data: teachers play episodes, and scenes and documents become pictures and texts."""
