"""The quality gate: do generated pictures show what their prompts ask for, and who says so?

`gate.judge_pictures` asks a judge that was trained on the catalogue's own photos (`judge`), on
features of the run's encoder (`features`), about article and colour (`terms`); `distances` says
how far the pictures are from real photos of the same kinds.
"""

from untrain.evaluation.quality.gate import ATTRIBUTES, Quality, judge_pictures

__all__ = ["ATTRIBUTES", "Quality", "judge_pictures"]
