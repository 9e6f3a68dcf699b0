"""Host networking for sandboxes: names, addresses, links and firewall rules. Usable on its own."""
