"""An experiment: its stages, how they run and resume, what they cost, and tracking."""
