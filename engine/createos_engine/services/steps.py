"""The moments of pause, resume and fork between which a crash makes a difference.

Each is reached by a line of code; a test kills the engine at every one of them and looks at what the next start makes
of it.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Every such moment, in the order in which they come."""

    PAUSE_INTENDED = "pause.intended"
    PAUSE_PREPARED = "pause.prepared"
    SAVE_HALTED = "save.halted"
    SAVE_WRITTEN = "save.written"
    PAUSE_SAVED = "pause.saved"
    PAUSE_PUBLISHED = "pause.published"
    PAUSE_UNPLUGGED = "pause.unplugged"
    PAUSE_DONE = "pause.done"
    SNAPSHOT_SUMMED = "snapshot.summed"
    SNAPSHOT_WRITTEN = "snapshot.written"
    LAYER_LINKED = "layer.linked"
    LAYER_FROZEN = "layer.frozen"
    RESUME_INTENDED = "resume.intended"
    RESUME_FROZEN = "resume.frozen"
    RESTORE_PREPARED = "restore.prepared"
    RESTORE_MACHINE = "restore.machine"
    RESTORE_IDENTITY = "restore.identity"
    RESUME_RESTORED = "resume.restored"
    RESUME_RUNNING = "resume.running"
    RESUME_DONE = "resume.done"
    FORK_FROZEN = "fork.frozen"
    FORK_INTENDED = "fork.intended"
    FORK_LINKED = "fork.linked"
    FORK_DISK = "fork.disk"
    FORK_READY = "fork.ready"
    CHECKPOINT_INTENDED = "checkpoint.intended"
    CHECKPOINT_LINKED = "checkpoint.linked"
    CHECKPOINT_DELETED = "checkpoint.deleted"
    GOLDEN_INTENDED = "golden.intended"
    GOLDEN_PREPARED = "golden.prepared"
    GOLDEN_BOOTED = "golden.booted"
    GOLDEN_SETTLED = "golden.settled"
    GOLDEN_SAVED = "golden.saved"
    GOLDEN_FROZEN = "golden.frozen"
    GOLDEN_PUBLISHED = "golden.published"
    GOLDEN_CLEARED = "golden.cleared"
    GOLDEN_READY = "golden.ready"
    GOLDEN_DISK = "golden.disk"
    STANDBY_INTENDED = "standby.intended"
    STANDBY_DISK = "standby.disk"
    STANDBY_HALTED = "standby.halted"
    STANDBY_READY = "standby.ready"
    STANDBY_TAKEN = "standby.taken"


class Steps:
    """What happens at such a moment: nothing. Tests put something else in its place (wiring.open_engine)."""

    def reach(self, step: Step) -> None:
        """Come by a step."""
