"""Copies of pictures in a catalogue, edited ones too: found by edges, told by an exact overlay."""

from untrain.search.copy_detector.detector import CopyDetector
from untrain.search.copy_detector.kinds import KINDS
from untrain.search.copy_detector.measured import measured

__all__ = ["KINDS", "CopyDetector", "measured"]
