"""From outcomes of the bank to effects, intervals, verdicts and the study's table."""
