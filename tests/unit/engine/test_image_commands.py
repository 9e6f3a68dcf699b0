"""`createosd images`: golden snapshots as people and programs read them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from createos_engine import image_commands
from createos_engine.errors import NotFound
from createos_engine.golden_words import Golden, GoldenState
from createos_engine.services.golden_list import Listing, listing, pin
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.goldens import GoldenStore

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
GOLDEN = Golden(
    id="gold-1",
    key="79089aaeda4440b1",
    state=GoldenState.READY,
    rootfs="busybox:1",
    shape="s-1vcpu-256mb",
    vcpu=1,
    mem_mib=256,
    disk_mib=512,
    base_digest="1cee",
    created_at=NOW - timedelta(days=2),
    size_bytes=82 * 2**20,
    last_used_at=NOW - timedelta(minutes=5),
    uses=3,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")


async def stored(settings: Settings) -> None:
    settings.state_dir.mkdir()
    database = Database(settings.state_dir / "engine.db")
    await GoldenStore(database).insert(GOLDEN)
    database.close()


def test_the_table_has_size_key_last_use_and_whether_it_is_pinned() -> None:
    lines = image_commands.table(Listing((), (GOLDEN,)), NOW).splitlines()

    assert re.split(" {2,}", lines[-1]) == [
        *("gold-1", "busybox:1", "s-1vcpu-256mb", "512 MiB", "79089aaeda44", "ready", "82 MiB", "3", "5m ago", "no")
    ]


def test_programs_get_the_same_as_json() -> None:
    said = json.loads(image_commands.document(Listing((), (GOLDEN,))))

    assert said["golden_snapshots"][0]["last_used_at"] == "2026-11-25T11:55:00+00:00"
    assert said["images"] == []


def test_a_host_where_no_daemon_has_run_has_no_golden_snapshots(settings: Settings) -> None:
    assert listing(settings).goldens == ()


async def test_a_pinned_one_stays_pinned(settings: Settings) -> None:
    await stored(settings)

    await pin(settings, "gold-1", pinned=True)

    assert [golden.pinned for golden in listing(settings).goldens] == [True]


async def test_one_that_is_not_there_cannot_be_pinned(settings: Settings) -> None:
    await stored(settings)

    with pytest.raises(NotFound, match="no golden snapshot gold-2"):
        await pin(settings, "gold-2", pinned=True)
