// Package power ends the guest in good order.
package power

import (
	"syscall"
	"time"
)

const grace = 2 * time.Second

// Off asks all programs to end, ends them, writes everything to disk and powers off; Reboot restarts instead.
func Off() { end(syscall.LINUX_REBOOT_CMD_POWER_OFF) }

// Reboot is Off with a restart.
func Reboot() { end(syscall.LINUX_REBOOT_CMD_RESTART) }

// Now powers off without ceremony; the probe guest has nothing to lose.
func Now() { _ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF) }

func end(command int) {
	_ = syscall.Kill(-1, syscall.SIGTERM)
	for deadline := time.Now().Add(grace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if syscall.Kill(-1, 0) == syscall.ESRCH {
			break
		}
	}
	_ = syscall.Kill(-1, syscall.SIGKILL)
	syscall.Sync()
	_ = syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	_ = syscall.Reboot(command)
}
