"""What JAT is compared with: Gato's tokens, and an agent with a token for each number."""
