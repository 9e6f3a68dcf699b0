"""A reverse proxy for names that say where they lead: `<label>-<port>.<domain>`. Usable on its own."""
