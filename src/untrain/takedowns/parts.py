"""Where an image of the data is in a run."""

TRAINING, HELD_OUT, UNUSED = "training", "held-out", "unused"
"""Trained on; set aside; left out of the run's part of the data."""
