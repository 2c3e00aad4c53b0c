"""A bank as plain files, by which anybody can hold an attribution method to exact retraining."""
