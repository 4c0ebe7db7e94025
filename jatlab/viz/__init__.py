"""Figures and videos, a module a subject; the report and the player are folders of their own."""
