"""How the weights move: the learning rate and the optimizers."""
