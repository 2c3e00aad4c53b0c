"""The experiment file: its sections, defaults and checks."""
