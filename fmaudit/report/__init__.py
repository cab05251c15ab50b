"""What a reader gets from ``audit.json``: a page, Markdown, a terminal summary. Pure, without torch."""
