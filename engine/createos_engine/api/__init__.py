"""The HTTP surface: parse, call one service function, render a view."""
