"""How this host is doing, for readyz, hosts and people."""

from __future__ import annotations

from collections.abc import Callable

from createos_engine.services.admission import available_memory_mib
from createos_engine.services.progress import Progress
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.words import Accelerator, Host, Readiness, State

TCG_WARNING = (
    "this machine has no working KVM: sandboxes run under emulation (TCG), which is slower and by QEMU's own statement "
    "not a security boundary"
)


class Health:
    """Readiness and the host's row."""

    def __init__(
        self,
        store: SandboxStore,
        progress: Progress,
        *,
        host_id: str,
        images: Callable[[], tuple[str, ...]],
        problems: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """`images` returns the names of the images that are built, `problems` what works only in part."""
        self._store = store
        self._progress = progress
        self._host_id = host_id
        self._images = images
        self._problems = problems

    async def readiness(self) -> Readiness:
        """Return whether creates can work now."""
        files, reason = self._progress.files, self._progress.reason
        notes = [f"accelerator {files.accelerator}: {files.accelerator_reason}"] if files else []
        if files and files.accelerator is Accelerator.TCG:
            notes.append(TCG_WARNING)
        notes += self._problems()
        return Readiness(ready=not reason, reason=reason, notes=(*notes, *self._progress.remarks))

    async def host(self) -> Host:
        """Return this host's row."""
        files = self._progress.files
        machines = self._store.in_states({State.CREATING, State.RUNNING, State.PAUSING, State.RESUMING})
        return Host(
            id=self._host_id,
            status="active",
            free_mib=available_memory_mib(),
            vm_count=len(machines),
            rootfses=self._images(),
            accelerator=files.accelerator if files else Accelerator.TCG,
        )
