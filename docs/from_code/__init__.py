"""Parts of the documentation's pages, made from the code; `hooks.py` puts them there."""
