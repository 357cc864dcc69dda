"""Writes the tables and plots."""


def write(results, path):
    pass
