"""Runs: the folder of an experiment, what it starts from, and where to find it."""
