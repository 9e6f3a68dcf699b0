package identity

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// setMachineID writes /etc/machine-id where there is none yet; a guest that is a copy of another gets its own in any case.
func setMachineID(root, id string, renew bool) error {
	if id == "" {
		return nil
	}
	path := filepath.Join(root, "etc/machine-id")
	if known := machineID(root); known != "" && !renew {
		return nil
	}
	if err := writeAnew(path, id); err != nil && renew {
		return err
	}
	second := filepath.Join(root, "var/lib/dbus/machine-id")
	if found, err := os.Lstat(second); err != nil || !found.Mode().IsRegular() || !renew {
		return nil
	}
	return writeAnew(second, id)
}

// writeAnew makes a new file: one that is emptied and written is brought to the disk by ext4 when it is closed.
func writeAnew(path, id string) error {
	if found, err := os.Lstat(path); err == nil && found.Mode().IsRegular() {
		_ = os.Remove(path)
	}
	return os.WriteFile(path, []byte(id+"\n"), 0o444)
}

func machineID(root string) string {
	const longest = 64
	text, _ := os.ReadFile(filepath.Join(root, "etc/machine-id"))
	id := strings.TrimSpace(string(text[:min(len(text), longest)]))
	if id == "uninitialized" {
		return ""
	}
	return id
}

// takeOver turns the interface with the MAC that `wanted` replaces into the wanted one, without addresses and down.
//
// The kernel of a copy still has the sockets of its parent: rules keep it from sending with the parent's addresses.
func takeOver(wanted Interface) error {
	if _, err := byMAC(wanted.MAC); err == nil || wanted.Replaces == "" {
		return nil
	}
	link, err := byMAC(wanted.Replaces)
	if err != nil {
		return fmt.Errorf("to be replaced, %s: %w", wanted.Replaces, err)
	}
	kernel, err := dialNetlink()
	if err != nil {
		return err
	}
	defer kernel.close()
	if err := forgetAddresses(kernel, link, wanted.Addresses); err != nil {
		return err
	}
	if err := kernel.do(setDown(link.Index)); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	mac, err := net.ParseMAC(wanted.MAC)
	if err != nil {
		return err
	}
	if err := kernel.do(setMAC(link.Index, mac)); err != nil {
		return fmt.Errorf("MAC %s: %w", wanted.MAC, err)
	}
	return nil
}

func forgetAddresses(kernel *netlink, link *net.Interface, wanted []string) error {
	present, err := link.Addrs()
	if err != nil {
		return err
	}
	for _, address := range present {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			return err
		}
		if err := kernel.do(deleteAddress(link.Index, prefix)); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return fmt.Errorf("address %s: %w", prefix, err)
		}
		if err := ignoreMissing(kernel.do(blackhole(newRule, prefix.Addr()))); err != nil {
			return fmt.Errorf("rule for %s: %w", prefix, err)
		}
	}
	for _, text := range wanted {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		for err == nil { // a grandparent may have had what is ours now
			err = kernel.do(blackhole(deleteRule, prefix.Addr()))
		}
	}
	return nil
}

// ignoreMissing lets pass that a kernel has no rules or no IPv6: the host refuses false sources all the same.
func ignoreMissing(err error) error {
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return nil
	}
	return err
}

// readKeysAgain tells the listeners of sshd, which are children of process 1, to take the new host keys.
func readKeysAgain() {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		name, rest, ok := bytes.Cut(text, []byte(") "))
		if err != nil || !ok || !bytes.HasSuffix(name, []byte("(sshd")) {
			continue
		}
		fields := bytes.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(fields) > 1 && string(fields[1]) == "1" {
			_ = syscall.Kill(pid, syscall.SIGHUP)
		}
	}
}
