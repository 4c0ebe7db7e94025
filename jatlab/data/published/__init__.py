"""The published data set: where its files are, and fetching or streaming them."""
