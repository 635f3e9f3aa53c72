"""Facts as text, pictures and a page."""
