"""Agents: a model that remembers and acts, and its files on disk and on the hub."""
