"""The stream between the host and the guest agent; the format is images/agent/PROTOCOL.md."""
