"""Delegated access tokens in the database: hashed, one a sandbox, gone with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from createos_engine.errors import Conflict, NotFound
from createos_engine.store.access_tokens import AccessTokenStore
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Sandbox, State

from tests.fakes.rows import sandbox


@dataclass
class Stored:
    tokens: AccessTokenStore
    sandboxes: SandboxStore
    box: Sandbox
    directory: Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


@pytest.fixture
async def stored(database: Database, tmp_path: Path) -> Stored:
    owner = await AccountStore(database).by_uid(0, "root")
    sandboxes = SandboxStore(database)
    draft = sandbox(user_id=owner.id, state=State.RUNNING)
    box = await sandboxes.insert(draft, capacity=10, address=lambda slot: f"10.0.0.{slot}")
    return Stored(AccessTokenStore(database), sandboxes, box, tmp_path)


async def test_a_token_opens_its_sandbox_and_is_not_stored(stored: Stored) -> None:
    token, record = await stored.tokens.create(stored.box.id)

    grant = stored.tokens.grant(token)
    assert grant is not None
    assert (grant.sandbox_id, grant.owner.name) == (stored.box.id, "root")
    assert token.startswith("skp_sb_")
    assert record.hint == f"{token[:11]}…{token[-4:]}"
    assert token.encode() not in b"".join(path.read_bytes() for path in stored.directory.iterdir())


@pytest.mark.parametrize("text", ["", "skp_sb_", "skp_sb_nobody", "' OR 1=1 --"])
async def test_any_other_text_opens_nothing(stored: Stored, text: str) -> None:
    await stored.tokens.create(stored.box.id)

    assert stored.tokens.grant(text) is None


async def test_a_sandbox_has_one_token(stored: Stored) -> None:
    await stored.tokens.create(stored.box.id)

    with pytest.raises(Conflict, match="already"):
        await stored.tokens.create(stored.box.id)


async def test_rotating_ends_the_old_token_and_keeps_when_it_began(stored: Stored) -> None:
    old, first = await stored.tokens.create(stored.box.id)

    new, second = await stored.tokens.rotate(stored.box.id)

    assert stored.tokens.grant(old) is None
    assert stored.tokens.grant(new) is not None
    assert (second.created_at, second.rotated_at is not None) == (first.created_at, True)
    assert stored.tokens.find(stored.box.id) == second


async def test_only_a_token_that_is_there_can_be_rotated(stored: Stored) -> None:
    with pytest.raises(NotFound, match="no access token"):
        await stored.tokens.rotate(stored.box.id)


@pytest.mark.parametrize("end", [(State.DESTROYING,), (State.DESTROYING, State.DESTROYED)])
async def test_the_end_of_a_sandbox_ends_its_token_for_good(stored: Stored, end: tuple[State, ...]) -> None:
    token, _ = await stored.tokens.create(stored.box.id)

    for state in end:
        await stored.sandboxes.move(stored.box.id, state)

    assert stored.tokens.grant(token) is None
    assert stored.tokens.find(stored.box.id) is None
    with pytest.raises(Conflict, match=f"sandbox is {end[-1]}"):
        await stored.tokens.create(stored.box.id)


async def test_a_deleted_token_opens_nothing(stored: Stored) -> None:
    token, _ = await stored.tokens.create(stored.box.id)

    await stored.tokens.delete(stored.box.id)
    await stored.tokens.delete(stored.box.id)

    assert stored.tokens.grant(token) is None
