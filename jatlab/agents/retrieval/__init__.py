"""Agents that act from demonstrations of the task: without a network, and with one."""
