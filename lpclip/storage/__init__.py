"""Files that lpclip writes and reads: what they hold, and how it is known to be right."""
