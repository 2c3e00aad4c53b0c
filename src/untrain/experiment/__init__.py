"""An experiment: its stages, how they are run and resumed, what they cost, where they are told."""
