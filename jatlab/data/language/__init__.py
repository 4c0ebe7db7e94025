"""Text, and pictures with text: the sources that the mixture draws them from."""
