"""S3 as the engine speaks it: signing, an endpoint's answers in words, and the relay that keeps keys out of guests."""
