"""Retrieval: prompt → candidates, by captions, by pictures, or both."""
