"""The tables of a run, for the page, the terminal and files."""
