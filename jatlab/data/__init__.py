"""Recorded and published data, from episodes on disk to the batches that a model is trained on."""
