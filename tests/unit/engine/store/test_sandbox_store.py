"""Rows of sandboxes: what is stored comes back, and two changes never both win."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from createos_engine.errors import Conflict, Invalid, NotFound, Unavailable
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore, StateChange
from createos_engine.words import ImageConfig, Page, Sandbox, State

from tests.fakes.rows import NOON, sandbox


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


@pytest.fixture
async def user_id(database: Database) -> str:
    return (await AccountStore(database).by_uid(0, "root")).id


@pytest.fixture
def store(database: Database) -> SandboxStore:
    return SandboxStore(database)


async def put(store: SandboxStore, row: Sandbox, capacity: int = 100) -> Sandbox:
    return await store.insert(row, capacity=capacity, address=lambda slot: f"10.77.0.{slot + 1}")


async def test_a_row_comes_back_as_it_was_stored(store: SandboxStore, user_id: str) -> None:
    row = sandbox(
        user_id=user_id,
        envs={"MODE": "dév"},
        ssh_pubkeys=("ssh-ed25519 AAAA",),
        image=ImageConfig(env={"A": "1"}, entrypoint=("/bin/x",), cmd=("y",)),
        auto_pause_after_seconds=60,
    )

    stored = await put(store, row)

    assert store.get(row.id) == stored == sandbox(**{**vars(row), "slot": 1, "ip": "10.77.0.2"})


async def test_two_live_sandboxes_of_one_user_cannot_share_a_name(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(id="sb-1", user_id=user_id))

    with pytest.raises(Invalid, match="already have a sandbox named demo-box") as refused:
        await put(store, sandbox(id="sb-2", user_id=user_id))

    assert refused.value.field == "name"


async def test_a_name_and_a_slot_are_free_again_after_the_end(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(id="sb-1", user_id=user_id))
    await store.move("sb-1", State.FAILED)

    again = await put(store, sandbox(id="sb-2", user_id=user_id))

    assert again.slot == 1


async def test_slots_run_out_with_a_clear_sentence(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(id="sb-1", name="a", user_id=user_id), capacity=1)

    with pytest.raises(Unavailable, match="all 1 addresses"):
        await put(store, sandbox(id="sb-2", name="b", user_id=user_id), capacity=1)


async def test_many_inserts_at_once_get_different_slots(store: SandboxStore, user_id: str) -> None:
    rows = [sandbox(id=f"sb-{n}", name=f"n{n}", user_id=user_id) for n in range(20)]

    stored = await asyncio.gather(*(put(store, row) for row in rows))

    assert sorted(row.slot for row in stored) == list(range(1, 21))


async def test_of_two_contradicting_moves_one_is_refused(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(user_id=user_id))

    outcomes = await asyncio.gather(
        store.move(sandbox().id, State.FAILED), store.move(sandbox().id, State.RUNNING), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [Sandbox, Conflict]


async def test_a_move_writes_what_belongs_to_it(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(user_id=user_id))

    moved = await store.move(sandbox().id, State.RUNNING, StateChange(running_at=NOON, spawn_ms=12.5))

    assert (moved.state, moved.running_at, moved.spawn_ms) == (State.RUNNING, NOON, 12.5)


async def test_a_sandbox_is_found_by_id_and_by_name_but_not_by_strangers(store: SandboxStore, user_id: str) -> None:
    row = await put(store, sandbox(user_id=user_id))

    assert store.find(user_id, row.id) == store.find(user_id, "demo-box") == row
    with pytest.raises(NotFound, match="^sandbox not found$"):
        store.find("usr-other", row.id)


async def test_a_name_means_the_live_sandbox_even_if_an_ended_one_is_newer(store: SandboxStore, user_id: str) -> None:
    await put(store, sandbox(id="sb-2", user_id=user_id, created_at=NOON + timedelta(hours=1)))
    await store.move("sb-2", State.FAILED)
    await put(store, sandbox(id="sb-1", user_id=user_id))

    assert store.find(user_id, "demo-box").id == "sb-1"


async def test_pages_are_newest_first_and_count_what_matches(store: SandboxStore, user_id: str) -> None:
    for n in range(5):
        await put(store, sandbox(id=f"sb-{n}", name=f"n{n}", user_id=user_id, created_at=NOON + timedelta(seconds=n)))
    await store.move("sb-0", State.RUNNING)

    rows, total = store.page(user_id, Page(limit=2, offset=1), None)
    running, running_total = store.page(user_id, Page(), State.RUNNING)

    assert ([row.id for row in rows], total) == (["sb-3", "sb-2"], 5)
    assert ([row.id for row in running], running_total) == (["sb-0"], 1)


async def test_counts_leave_destroyed_ones_out(store: SandboxStore, user_id: str) -> None:
    for n, states in enumerate(
        [[], [State.RUNNING], [State.FAILED], [State.DESTROYING, State.DESTROYED]],
    ):
        await put(store, sandbox(id=f"sb-{n}", name=f"n{n}", user_id=user_id))
        for state in states:
            await store.move(f"sb-{n}", state)

    counts = store.counts(user_id)

    assert (counts.running, counts.paused, counts.other, counts.total) == (1, 0, 2, 3)


async def test_only_rows_that_ended_long_ago_are_forgotten(store: SandboxStore, user_id: str) -> None:
    for n, age in enumerate((2, 0)):
        await put(store, sandbox(id=f"sb-{n}", name=f"n{n}", user_id=user_id))
        await store.move(f"sb-{n}", State.DESTROYING)
        await store.move(f"sb-{n}", State.DESTROYED, StateChange(destroyed_at=NOON - timedelta(days=age)))

    forgotten = await store.forget(ended_before=NOON - timedelta(days=1))

    assert (forgotten, store.state("sb-0"), store.state("sb-1")) == (1, None, State.DESTROYED)
