"""The place of the web page over runs, trace and attribution; it will compute nothing of its own.

The order of the rooms (`tests/test_architecture.py`) lets it import `untrain.api`, `untrain.report`
and `untrain.search`, and lets nothing but the command line import it. It has no code yet.
"""
