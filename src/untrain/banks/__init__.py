"""Banks of models, each trained without a random subset of the data."""
