"""Writes the tables and plots."""
