"""What a finished run says, for people: Markdown tables, figures and one HTML page."""

from untrain.report.page import write_report

__all__ = ["write_report"]
