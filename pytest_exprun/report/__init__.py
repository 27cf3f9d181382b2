"""A comparison in, text or a picture out: the terminal, Markdown, JSON, JUnit, GitHub. Only `files` reads or writes."""
