"""The SSH gateway: the second door beside the API. A login names a sandbox, and its keys open it (9.5)."""
