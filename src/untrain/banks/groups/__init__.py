"""Banks of models that whole groups of images have left, and what each group is worth."""
