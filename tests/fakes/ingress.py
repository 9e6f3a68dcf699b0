"""Public URLs that nobody can open."""

from __future__ import annotations

from createos_engine.network_words import IngressFacts
from createos_engine.words import Sandbox

PEM = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n"


class FakeIngress:
    """Says what the real one would say."""

    def url_template(self, sandbox: Sandbox) -> str:
        """Return the URL with the literal `<port>`."""
        label = sandbox.id.removeprefix("sb-")
        return f"https://{label}-<port>.sandbox.localhost:8443" if sandbox.ingress_enabled else ""

    def facts(self) -> IngressFacts:
        """Return what would be open."""
        return IngressFacts("sandbox.localhost", PEM, 8443, 8480)
