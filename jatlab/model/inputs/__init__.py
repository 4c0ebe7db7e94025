"""What goes into a forward pass, and the check at the model's door."""
