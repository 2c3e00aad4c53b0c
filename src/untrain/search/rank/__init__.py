"""Ranking: the metrics of all pairs → one score for each candidate."""
