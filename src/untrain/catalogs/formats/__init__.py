"""Catalogue formats, one a file: what is on disk → rows of image and caption."""
