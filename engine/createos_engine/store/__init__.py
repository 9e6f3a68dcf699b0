"""SQLite: the only place where SQL lives."""
