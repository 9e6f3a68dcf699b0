"""createos subcommands, one module per noun."""
