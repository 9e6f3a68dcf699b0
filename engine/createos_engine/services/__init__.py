"""What the engine does, in terms of the store and the drivers; no HTTP and no SQL here."""
