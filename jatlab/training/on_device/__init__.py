"""Training on one device whose memory holds the data: nothing waits for the host."""
