"""From a wish to a row: what the catalog and this server can give, and what they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_engine.errors import Invalid, NotFound
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.drafts import Drafts
from createos_engine.services.exec import environment
from createos_engine.services.images import Images
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import ImageConfig, NewSandbox, State, User
from createos_images.builder import Base
from createos_images.recipe import ImageConfig as BaseConfig

from tests.fakes.rows import NOON, sandbox

USER = User("usr-1", "ada", NOON)


class OneImage(ImageCatalog):
    """A catalog that has busybox:1 alone, 37 MiB large."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"), "busybox:1")

    def _find(self, name: str) -> Base | None:
        config = BaseConfig({"PATH": "/bin"}, "/srv", "web")
        return Base(name, "d1", Path("/b.raw"), 37 * 2**20, config, "r") if name == "busybox:1" else None


class NoTemplates:
    """Nobody has a template."""

    def base(self, user: User, ref: str) -> Base:
        raise NotFound("template not found")


@pytest.fixture
def drafts(tmp_path: Path) -> Iterator[Drafts]:
    database = Database(tmp_path / "engine.db")
    yield Drafts(SandboxStore(database), Images(OneImage(), NoTemplates()), region="local", host_id="host-a")
    database.close()


def test_a_bare_wish_gets_every_default(drafts: Drafts) -> None:
    row, base = drafts.draft(USER, NewSandbox(shape="s-2vcpu-2gb"))

    assert (row.state, row.rootfs, row.vcpu, row.mem_mib, row.disk_mib) == (
        State.CREATING,
        "busybox:1",
        2,
        2048,
        10_240,
    )
    assert row.name.count("-") == 1
    assert row.image == ImageConfig(env={"PATH": "/bin"}, working_dir="/srv", user="web")
    assert base.digest == row.base_digest == "d1"


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        ({"shape": "s-bad"}, "shape", "unknown shape: s-bad"),
        ({"rootfs": "windows:11"}, "rootfs", "unknown rootfs: windows:11; choose one of: busybox:1"),
        ({"rootfs": "debian:12"}, "rootfs", "debian:12 is not built on this host"),
        ({"disk_mib": 36}, "disk_mib", "ask for at least 37 MiB"),
        ({"region": "mars"}, "region", "this server is local"),
        ({"host_id": "host-b"}, "host_id", "this host is host-a"),
        ({"egress": ("https://example.org",)}, "egress", "names a protocol"),
        ({"node_selector": {"a": "b"}}, "node_selector", "does not offer node_selector"),
    ],
)
def test_what_cannot_be_had_is_said_with_its_field(
    drafts: Drafts, wanted: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(Invalid) as refused:
        drafts.draft(USER, NewSandbox(**{"shape": "s-1vcpu-256mb", **wanted}))  # type: ignore[arg-type]

    assert refused.value.field == field
    assert said in refused.value.sentence


@pytest.mark.parametrize("wanted", [{"egress": ("*",)}, {"region": "local"}, {"host_id": "host-a"}, {"disk_mib": 37}])
def test_what_means_the_default_is_taken(drafts: Drafts, wanted: dict[str, object]) -> None:
    drafts.draft(USER, NewSandbox(**{"shape": "s-1vcpu-256mb", **wanted}))  # type: ignore[arg-type]


def test_later_variables_win_over_earlier_ones() -> None:
    row = sandbox(image=ImageConfig(env={"A": "image", "B": "image"}), envs={"B": "sandbox", "C": "sandbox"})

    assert environment(row, {"C": "call"}) == {"A": "image", "B": "sandbox", "C": "call"}


def test_a_variable_that_was_not_declared_is_refused_and_the_declared_ones_are_named() -> None:
    with pytest.raises(Invalid, match=r"A was not declared .*\(declared: B, C\)") as refused:
        environment(sandbox(image=ImageConfig(env={"A": "image"}), envs={"C": "", "B": ""}), {"A": "call"})

    assert refused.value.field == "env"


def test_a_template_that_is_gone_is_not_found_by_its_id(drafts: Drafts) -> None:
    with pytest.raises(NotFound):
        drafts.draft(USER, NewSandbox(shape="s-2vcpu-2gb", rootfs="tpl_01K5ZQ7M3V8W2X4Y6Z9ABCDEFG"))
