"""The ladder: every method of unlearning at every budget, against exact paired twins."""
