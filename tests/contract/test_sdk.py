"""The official Python SDK drives the engine: fakes here, real machines when the environment names a live engine."""

from __future__ import annotations

import time
import uuid

import createos
import httpx
import pytest

from tests.contract.conftest import ROOTFS, SHAPE, Engine


def request(**more: object) -> createos.CreateSandboxRequest:
    """Return a create with a name nobody has."""
    name = f"sdk-{uuid.uuid4().hex[:12]}"
    return createos.CreateSandboxRequest(shape=SHAPE, rootfs=ROOTFS, name=name, **more)  # type: ignore[arg-type]


def command(script: str, **more: object) -> createos.RunCommandRequest:
    """Return a shell command; busybox has no bash."""
    return createos.RunCommandRequest(command="sh", arguments=["-c", script], **more)  # type: ignore[arg-type]


def test_health_and_readiness_need_no_key(engine: Engine) -> None:
    with createos.Client("", base_url=engine.base_url) as stranger:
        assert stranger.health().up
        assert stranger.readiness().ready


def test_a_wrong_key_is_refused(engine: Engine) -> None:
    with createos.Client("wrong", base_url=engine.base_url) as stranger, pytest.raises(createos.APIError) as refused:
        stranger.who_am_i()

    assert refused.value.status_code == 401
    assert refused.value.request_id


def test_the_caller_has_an_id_and_counts(client: createos.Client, box: createos.SandboxInstance) -> None:
    me = client.who_am_i()

    assert me.user_id
    assert me.stats.running >= 1


def test_shapes_images_and_hosts_are_listed(client: createos.Client) -> None:
    images = client.list_root_file_systems()

    assert SHAPE in [shape.id for shape in client.list_shapes()]
    assert images.default in images.root_file_systems
    assert [host.status for host in client.list_hosts()] == [createos.HostStatus.ACTIVE]


def test_a_new_sandbox_runs_and_has_an_address(box: createos.SandboxInstance) -> None:
    data = box.data

    assert data.status is createos.SandboxStatus.RUNNING
    assert (data.shape, data.vcpu, data.memory_mib) == (SHAPE, 1, 256)
    assert data.ip_address
    assert data.spawn_milliseconds


def test_a_sandbox_is_found_by_id_name_address_and_in_the_list(
    client: createos.Client, box: createos.SandboxInstance
) -> None:
    found = [
        client.get_sandbox(box.id),
        client.get_sandbox(box.name),
        client.get_sandbox_by_ip(box.ip_address),
        *[row for row in client.list_sandboxes() if row.id == box.id],
        *[row for row in running(client) if row.id == box.id],
    ]

    assert [row.id for row in found] == [box.id] * 5
    assert found[0].data.created_at is not None


def running(client: createos.Client) -> list[createos.SandboxInstance]:
    """Return the sandboxes that run."""
    return client.list_sandboxes(createos.ListSandboxesOptions(status=createos.SandboxStatus.RUNNING))


def test_pages_are_walked_to_the_end(client: createos.Client, box: createos.SandboxInstance) -> None:
    assert len(client.list_sandboxes(createos.ListSandboxesOptions(limit=1))) == 1


def test_a_command_answers_with_its_output_and_exit_code(box: createos.SandboxInstance) -> None:
    done = box.run_command(command("echo hello"))
    failed = box.run_command(command("exit 7"))

    assert (done.result.standard_output, done.result.exit_code) == ("hello\n", 0)
    assert failed.result.exit_code == 7
    assert done.execution_milliseconds > 0


def test_input_and_declared_variables_reach_the_command(box: createos.SandboxInstance) -> None:
    echoed = box.run_command(command("cat", standard_input="grüße\n"))
    listed = box.run_command(command("env", environment_variables={"COLOUR": "blue"}))

    assert echoed.result.standard_output == "grüße\n"
    assert "COLOUR=blue" in listed.result.standard_output.splitlines()


def test_an_undeclared_variable_is_refused_with_the_field(box: createos.SandboxInstance) -> None:
    with pytest.raises(createos.APIError, match="env: ") as refused:
        box.run_command(command("env", environment_variables={"NOT_DECLARED": "x"}))

    assert refused.value.status_code == 400


def test_a_program_that_does_not_exist_is_an_answer(box: createos.SandboxInstance) -> None:
    answer = box.run_command(createos.RunCommandRequest(command="no-such-program"))

    assert answer.result.exit_code == 127
    assert answer.result.error_message


def test_a_streamed_command_ends_with_its_exit_code(box: createos.SandboxInstance) -> None:
    with box.stream_command(command("exit 5")) as events:
        last = list(events)[-1]

    assert (last.type, last.exit_code) == (createos.ExecStreamEventType.EXIT, 5)


@pytest.mark.parametrize("text", ["plain", "a\u2028b\u2029c\u0085d", "\U0001f600é€" * 5000])
def test_no_character_breaks_a_streamed_line(box: createos.SandboxInstance, text: str) -> None:
    with box.stream_command(command("cat", standard_input=text)) as events:
        pieces = [event.data for event in events if event.type is createos.ExecStreamEventType.STDOUT]

    assert "".join(pieces) == text


def test_a_wrong_shape_and_a_wrong_name_are_refused_with_the_field(client: createos.Client) -> None:
    for wrong, field in ((createos.CreateSandboxRequest(shape="s-bad"), "shape"), (request(disk_mib=-1), "disk_mib")):
        with pytest.raises(createos.APIError, match=f"{field}: ") as refused:
            client.create_sandbox(wrong)

        assert refused.value.status_code == 400


def test_a_destroyed_sandbox_stays_readable_and_may_be_destroyed_again(client: createos.Client) -> None:
    sandbox = client.create_sandbox(request())

    sandbox.destroy()
    deadline = time.monotonic() + 300
    while sandbox.refresh().status is not createos.SandboxStatus.DESTROYED and time.monotonic() < deadline:
        time.sleep(0.2)

    assert sandbox.status is createos.SandboxStatus.DESTROYED
    sandbox.destroy()
    with pytest.raises(createos.APIError, match="sandbox is destroyed"):
        sandbox.run_command(command("echo"))


def test_the_document_of_the_api_is_served(engine: Engine) -> None:
    document = httpx.get(f"{engine.base_url}/openapi.json").json()

    assert document["openapi"].startswith("3.")
    assert "/v1/sandboxes" in document["paths"]
