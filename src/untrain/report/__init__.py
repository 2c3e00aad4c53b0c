"""What a finished run says, for people: Markdown tables, figures and one HTML page."""
