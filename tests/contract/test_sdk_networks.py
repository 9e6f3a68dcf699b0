"""Private networks as the official Python SDK drives them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import createos
import pytest


@pytest.fixture
def network(client: createos.Client) -> Iterator[createos.Network]:
    """A network for one test."""
    made = client.networks.create(createos.NetworkCreateRequest(name=f"net{uuid.uuid4().hex[:12]}"))
    yield made
    client.networks.delete(made.id)


def test_a_new_network_is_empty_and_found(client: createos.Client, network: createos.Network) -> None:
    assert network.id.startswith("net-")
    assert network.member_count == 0
    assert network.created_at is not None
    assert [row.id for row in client.networks.list() if row.id == network.id] == [network.id]
    assert client.networks.get(network.id).name == network.name
    assert client.networks.get(network.name).id == network.id


def test_a_name_is_taken_once(client: createos.Client, network: createos.Network) -> None:
    with pytest.raises(createos.APIError, match="already have a network named") as refused:
        client.networks.create(createos.NetworkCreateRequest(name=network.name))

    assert refused.value.status_code == 400


def test_a_bad_name_is_refused_with_the_rule(client: createos.Client) -> None:
    with pytest.raises(createos.APIError, match="1 to 63 characters") as refused:
        client.networks.create(createos.NetworkCreateRequest(name="Not A Label"))

    assert refused.value.status_code == 400


def test_a_member_has_an_address_and_holds_the_network(
    client: createos.Client, network: createos.Network, box: createos.SandboxInstance
) -> None:
    for _ in range(2):
        box.attach_network(network.id)
    shown = client.networks.get(network.id)

    assert [(member.sandbox_id, member.name, member.status) for member in shown.members] == [
        (box.id, box.name, "running")
    ]
    assert shown.members[0].ip_address
    with pytest.raises(createos.APIError, match="used by 1 sandbox") as refused:
        client.networks.delete(network.id)
    assert refused.value.status_code == 409
    box.detach_network(network.name)
    assert client.networks.get(network.id).members == []


def test_what_does_not_exist_is_404(client: createos.Client, box: createos.SandboxInstance) -> None:
    for call in (
        lambda: client.networks.get("net-unknown"),
        lambda: box.attach_network("nowhere"),
        lambda: box.detach_network("nowhere"),
    ):
        with pytest.raises(createos.APIError, match="network not found") as refused:
            call()
        assert refused.value.status_code == 404


def test_more_than_the_quota_is_forbidden(client: createos.Client) -> None:
    made: list[createos.Network] = []
    try:
        with pytest.raises(createos.APIError, match="networks") as refused:
            make_many(client, made)
    finally:
        for network in made:
            client.networks.delete(network.id)

    assert refused.value.status_code == 403


def make_many(client: createos.Client, made: list[createos.Network]) -> None:
    """Make more networks than an account may have."""
    for number in range(40):
        name = f"q{number}-{uuid.uuid4().hex[:8]}"
        made.append(client.networks.create(createos.NetworkCreateRequest(name=name)))


def test_ingress_is_switched_and_gives_each_port_a_url(box: createos.SandboxInstance) -> None:
    box.set_ingress(True)
    url = box.refresh().preview_url(8080)
    box.set_ingress(False)

    assert f"{box.data.id.removeprefix('sb-')}-8080." in url
    with pytest.raises(ValueError, match="not enabled"):
        box.refresh().preview_url(8080)
