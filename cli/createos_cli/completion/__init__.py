"""Shell completion: the tree of commands as a script of the shell, names of things asked from the daemon (names.py).

The script holds all words and flags: a tab costs no start of Python. Names cost one of `createos __names`, no typer.
"""
