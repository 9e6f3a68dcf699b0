"""createosd: the daemon that turns images into sandboxes (virtual machines) and serves them over HTTP."""
