"""The official Python SDK and templates: fakes here, real builds when the environment names a live engine.

`follow_logs` of createos-sandbox 0.1.3 fails on every event, whoever sent it: its models are dataclasses with slots,
and `super()` without arguments does not work in those. The stream is tested in tests/unit/engine/api.
"""

from __future__ import annotations

import time
import uuid

import createos
import pytest
from createos import GetTemplateOptions, TemplateCreateRequest, TemplateInclude, TemplateStatus

DEADLINE_S = 300


def submit(client: createos.Client, step: str) -> createos.Template:
    """Submit a file with one step under a name nobody has."""
    name = f"sdk-{uuid.uuid4().hex[:12]}"
    return client.templates.create(TemplateCreateRequest(name=name, dockerfile=f"FROM busybox:1\nRUN {step}\n"))


def ended(client: createos.Client, template: createos.Template) -> createos.Template:
    """Wait for the end of a build."""
    end = time.monotonic() + DEADLINE_S
    while (found := client.templates.get(template.id)).status not in (TemplateStatus.READY, TemplateStatus.FAILED):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_a_dockerfile_becomes_a_template(client: createos.Client) -> None:
    submitted = submit(client, "true")
    ready = ended(client, submitted)

    assert ready.status is TemplateStatus.READY
    assert ready.ext4_size_bytes > 0
    assert ready.built_at is not None
    client.templates.delete(ready.id)


def test_a_failed_build_shows_its_log(client: createos.Client) -> None:
    submitted = submit(client, "false")

    assert ended(client, submitted).status is TemplateStatus.FAILED
    assert "RUN false" in client.templates.logs(submitted.id)
    client.templates.delete(submitted.id)


def test_templates_are_listed_and_show_their_dockerfile(client: createos.Client) -> None:
    submitted = submit(client, "true")
    shown = client.templates.get(submitted.name, GetTemplateOptions(include=TemplateInclude.DOCKERFILE))

    assert submitted.id in [row.id for row in client.templates.list()]
    assert shown.dockerfile == "FROM busybox:1\nRUN true\n"
    client.templates.delete(submitted.id)


def test_a_template_that_was_removed_is_gone(client: createos.Client) -> None:
    submitted = submit(client, "true")
    client.templates.delete(submitted.id)

    with pytest.raises(createos.APIError) as gone:
        client.templates.get(submitted.id)

    assert gone.value.status_code == 404


def test_a_dockerfile_that_cannot_be_built_is_refused(client: createos.Client) -> None:
    with pytest.raises(createos.APIError, match="line 2") as refused:
        client.templates.create(TemplateCreateRequest(name="refused", dockerfile="FROM busybox:1\nCOPY . /x\n"))

    assert refused.value.status_code == 400
