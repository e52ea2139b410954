"""Figures, charts and tables of results."""
