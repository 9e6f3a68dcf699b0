"""Answers as they are on the wire; the OpenAPI document is made from these (wire-api 2, 4.2, 5, 6, 7).

What is absent is left out, never null: that is what NotRequired says here.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, NotRequired, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class Success(TypedDict, Generic[T]):
    """The envelope of an answer."""

    status: Literal["success"]
    data: T


class Fail(TypedDict):
    """The envelope of a refusal: a text, or a sentence for each field at fault."""

    status: Literal["fail"]
    data: str | dict[str, str]


class Error(TypedDict):
    """The envelope of a failure of the server; `data` repeats the message for clients that show only that."""

    status: Literal["error"]
    message: str
    code: int
    data: str


class Pagination(TypedDict):
    """Where the rows of an answer are in the whole list."""

    total: int
    limit: int
    offset: int
    count: int


class Rows(TypedDict, Generic[T]):
    """One page of a list."""

    data: list[T]
    pagination: Pagination


class SandboxView(TypedDict):
    """A sandbox. `envs` are names only; `reason` says why it is in error or failed.

    `fork_receipt` is what the agent of a fork confirmed to have renewed, `auto_paused` that idleness paused it.
    """

    id: str
    name: str
    status: Literal[
        "creating",
        "running",
        "pausing",
        "paused",
        "resuming",
        "forking",
        "error",
        "destroying",
        "destroyed",
        "failed",
    ]
    shape: str
    rootfs: str
    region: str
    vcpu: int
    mem_mib: int
    disk_mib: int
    created_at: str
    created_by: str
    ingress_enabled: bool
    ip: NotRequired[str]
    ingress_url_template: NotRequired[str]
    running_at: NotRequired[str]
    destroyed_at: NotRequired[str]
    spawn_ms: NotRequired[float]
    egress: NotRequired[list[str]]
    envs: NotRequired[list[str]]
    ssh_pubkeys: NotRequired[list[str]]
    auto_pause_after_seconds: NotRequired[int]
    paused_at: NotRequired[str]
    last_resumed_at: NotRequired[str]
    forked_from: NotRequired[str]
    auto_paused: NotRequired[bool]
    fork_receipt: NotRequired[dict[str, str]]
    reason: NotRequired[str]


class CreatedView(SandboxView):
    """What a create adds; `egress` is always there. -1 means unmetered."""

    bandwidth_quota_bytes: int


class DeletedView(TypedDict):
    """The beginning of an end."""

    id: str
    status: Literal["destroying", "destroyed", "failed"]


class ResizedView(TypedDict):
    """The size of the disk now."""

    id: str
    disk_mib: int


class ResultView(TypedDict):
    """What a program wrote and how it ended."""

    stdout: str
    stderr: str
    exit_code: int
    error: NotRequired[str]


class ExecView(TypedDict):
    """The answer of a buffered exec."""

    result: ResultView
    exec_ms: float


class ShapeView(TypedDict):
    """A size on offer."""

    id: str
    vcpu: int
    mem_mib: int
    default_disk_mib: int
    cpu_quota_pct: NotRequired[int]


class RootfsEntry(TypedDict):
    """An image on offer."""

    name: str
    description: str
    deprecated: NotRequired[bool]
    successor: NotRequired[str]


class RootfsView(TypedDict):
    """The images on offer and the one used when none is named."""

    rootfs: list[str]
    default: str
    entries: list[RootfsEntry]


class KeyCountView(TypedDict):
    """How many SSH keys a sandbox has."""

    count: int


class SshGatewayView(TypedDict):
    """Where SSH is listened for. `host_key` is one line as in known_hosts; `reason` says why it is not (yet)."""

    host: str
    port: int
    host_key: NotRequired[str]
    fingerprint: NotRequired[str]
    reason: NotRequired[str]


class HostView(TypedDict):
    """A machine that runs sandboxes."""

    id: str
    status: Literal["active", "draining", "dead"]
    free_mib: int
    vm_count: int
    rootfses: list[str]
    accelerator: Literal["kvm", "tcg"]


class HealthView(TypedDict):
    """The daemon answers."""

    up: Literal[True]


class ReadyView(TypedDict):
    """Whether creates can work now."""

    ready: bool
    reason: NotRequired[str]
    notes: NotRequired[list[str]]


class StatsView(TypedDict):
    """How many sandboxes the caller has."""

    running: int
    paused: int
    other: int
    total: int


class WhoamiView(TypedDict):
    """The caller."""

    user_id: str
    stats: StatsView


class AccountView(TypedDict):
    """The caller as the main API of the hosted service shows him."""

    id: str
    username: str
    displayName: str
    email: str
    createdAt: str


class TokenView(TypedDict):
    """A new token; it is shown only here."""

    token: str
    user_id: str
    name: str


class AccessTokenView(TypedDict):
    """Whether a sandbox has a delegated access token; the hint is how it begins and ends."""

    enabled: bool
    token_hint: NotRequired[str]
    created_at: NotRequired[str]
    rotated_at: NotRequired[str]


class AccessTokenGivenView(TypedDict):
    """A delegated access token; it is shown only here."""

    token: str
    enabled: Literal[True]
    created_at: str
    rotated_at: NotRequired[str]


class FileView(TypedDict):
    """A file that was written."""

    bytes: int
    path: str


Responses = dict[int | str, dict[str, Any]]

FAILURES: Responses = {
    "4XX": {"model": Fail, "description": "The request is wrong, or not allowed, or the sandbox is in another state."},
    "5XX": {"model": Error, "description": "The host could not do it; after 503 nothing was done, try again."},
}


# The document wants a 200 of every route; a connection that speaks another protocol from then on has 101 instead.
UPGRADED: Responses = {
    101: {"description": "The connection is a raw byte stream from here on."},
    200: {"description": "Never: the answer is 101 or a failure."},
}


def answers(model: Any, description: str = "Done.", accepted: str = "") -> Responses:
    """Return the success of a route for the OpenAPI document; *accepted* describes a 202, where there is one."""
    done: Responses = {200: {"model": Success[model], "description": description}}
    return done | ({202: {"model": Success[model], "description": accepted}} if accepted else {})
