"""The stages of an experiment."""
