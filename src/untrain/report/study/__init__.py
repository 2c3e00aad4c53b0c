"""A run in the files and folders of the study."""
