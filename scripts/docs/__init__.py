"""What builds the documentation: generated pages, docstrings for Sphinx, the link checker."""
