"""Names and ids of sandboxes (wire-api 3)."""

from __future__ import annotations

import random

from ulid import ULID

from createos_engine.paths import BUILD_PREFIX, GOLDEN_PREFIX

_ADJECTIVES = """
amber bold brisk calm clever cosy crisp daring eager early fair fancy fleet gentle giddy glad golden happy hardy
humble jolly keen kind lively lucky mellow merry mild misty modest neat noble patient plucky polite proud quick
quiet rapid rosy royal rustic sandy shiny silent silver simple sleepy smart snug solid spry steady still sunny swift
tidy tiny vivid warm wild wise witty young zesty
"""
_ANIMALS = """
badger bat bear beaver bee bison boar camel carp cat cobra crab crane crow deer dingo dog dolphin dove duck eagle
eel elk falcon ferret finch fox frog gecko gibbon goat goose gull hare hawk heron horse hyena ibex jackal jay kiwi
koala lark lemur lion llama lynx magpie mole moose moth mouse newt orca otter owl panda perch pika puffin quail
rabbit raven robin seal shrew skunk sloth snail stork swan tapir tern tiger toad trout viper walrus wasp weasel
whale wolf wombat wren yak zebra
"""


def sandbox_id() -> str:
    """Return a new id: `sb-` and a lower-case ULID, so that ids sort by time of creation."""
    return f"sb-{ULID()}".lower()


def network_id() -> str:
    """Return a new id of a private network."""
    return f"net-{ULID()}".lower()


def disk_id() -> str:
    """Return a new id of an S3 disk."""
    return f"disk_{ULID()}"


def attachment_id() -> str:
    """Return a new id of an attachment, which is no part of the API."""
    return f"att-{ULID()}".lower()


def golden_id() -> str:
    """Return a new id of a golden snapshot."""
    return f"{GOLDEN_PREFIX}{ULID()}".lower()


def build_id(template_id: str) -> str:
    """Return the id of the machine in which a template is built: the same ULID."""
    return f"{BUILD_PREFIX}{template_id.rpartition('_')[2]}".lower()


def machine_uuid(sandbox_id: str) -> str:
    """Return the UUID of a sandbox's machine: the same 128 bits as its ULID."""
    return str(ULID.from_str(sandbox_id.rpartition("-")[2].upper()).to_uuid())


def layer_id() -> str:
    """Return a new id of a frozen disk."""
    return str(ULID()).lower()


def checkpoint_id() -> str:
    """Return a new id of a checkpoint."""
    return f"cp-{ULID()}".lower()


def machine_name(instance: str, sandbox_id: str) -> str:
    """Return the name of a sandbox's machine, which carries the engine's tag."""
    return f"createos-{instance}-{sandbox_id}"


def random_name() -> str:
    """Return a name of the form `<adjective>-<animal>`."""
    return f"{random.choice(_ADJECTIVES.split())}-{random.choice(_ANIMALS.split())}"
