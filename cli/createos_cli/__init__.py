"""The createos command line; it talks HTTP only."""
