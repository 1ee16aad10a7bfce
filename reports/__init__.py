"""The reporter: judged comparisons of a run as tables, Markdown, JSON and the terminal's summary."""
