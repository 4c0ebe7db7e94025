"""What maintainers run: `python -m scripts.NAME`."""
