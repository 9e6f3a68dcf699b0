// Package identity gives the guest its name, clock, entropy and addresses (`configure` in PROTOCOL.md).
package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"createos.local/agent/internal/hostkeys"
)

// Request is the JSON of a `configure` stream.
type Request struct {
	Hostname    string      `json:"hostname"`
	ClockUnixNS int64       `json:"clock_unix_ns"`
	Entropy     string      `json:"entropy_base64"`
	DNS         DNS         `json:"dns"`
	Interfaces  []Interface `json:"interfaces"`
	MachineID   string      `json:"machine_id"`
	Renew       bool        `json:"renew"`
}

// DNS is what /etc/resolv.conf says.
type DNS struct {
	Servers []string `json:"servers"`
	Search  []string `json:"search"`
}

// Interface is one network interface, found by its MAC, or by the one it replaces; addresses carry their prefix length.
type Interface struct {
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
	Gateways  []string `json:"gateways"`
	MTU       int      `json:"mtu"`
	Replaces  string   `json:"replaces"`
}

// Report is what the system says afterwards.
type Report struct {
	Hostname    string         `json:"hostname"`
	Interfaces  []ReportedLink `json:"interfaces"`
	ClockUnixNS int64          `json:"clock_unix_ns"`
	MachineID   string         `json:"machine_id"`
	HostKeys    []hostkeys.Key `json:"host_keys"`
}

// ReportedLink is an interface as the kernel describes it.
type ReportedLink struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
}

// Parse reads a request.
func Parse(text []byte) (Request, error) {
	var request Request
	err := json.Unmarshal(text, &request)
	return request, err
}

// Apply sets everything, links last: the guest is not on the network before it is what it should be.
func Apply(request Request) (Report, error) {
	if err := setClock(request.ClockUnixNS); err != nil {
		return Report{}, fmt.Errorf("clock: %w", err)
	}
	if err := reseed(request.Entropy); err != nil {
		return Report{}, fmt.Errorf("entropy: %w", err)
	}
	if err := syscall.Sethostname([]byte(request.Hostname)); err != nil {
		return Report{}, fmt.Errorf("hostname: %w", err)
	}
	writeFiles(request)
	if err := setMachineID("/", request.MachineID, request.Renew); err != nil {
		return Report{}, fmt.Errorf("machine-id: %w", err)
	}
	keys, err := renewHostKeys(request)
	if err != nil {
		return Report{}, fmt.Errorf("SSH host keys: %w", err)
	}
	for _, wanted := range request.Interfaces {
		if err := bringUp(wanted); err != nil {
			return Report{}, fmt.Errorf("interface %s: %w", wanted.MAC, err)
		}
	}
	result, err := report(request)
	result.HostKeys = keys
	return result, err
}

// Wake sets the clock of a guest that has slept and mixes fresh randomness into its pool; it returns the clock.
func Wake(request Request) (Report, error) {
	if err := setClock(request.ClockUnixNS); err != nil {
		return Report{}, fmt.Errorf("clock: %w", err)
	}
	if err := reseed(request.Entropy); err != nil {
		return Report{}, fmt.Errorf("entropy: %w", err)
	}
	return Report{ClockUnixNS: time.Now().UnixNano()}, nil
}

func renewHostKeys(request Request) ([]hostkeys.Key, error) {
	if !request.Renew {
		return []hostkeys.Key{}, nil
	}
	return hostkeys.Renew("/etc/ssh", "root@"+request.Hostname, readKeysAgain)
}

// Connect brings up interfaces beside those of the identity: cards that were plugged in later. Nothing else changes.
func Connect(request Request) (Report, error) {
	if len(request.Interfaces) > maxInterfaces {
		return Report{}, fmt.Errorf("at most %d interfaces are possible", maxInterfaces)
	}
	for _, wanted := range request.Interfaces {
		if err := bringUp(wanted); err != nil {
			return Report{}, fmt.Errorf("interface %s: %w", wanted.MAC, err)
		}
	}
	for _, wanted := range request.Interfaces {
		awaitCarrier(wanted.MAC)
	}
	return report(request)
}

func setClock(unixNS int64) error {
	if unixNS == 0 {
		return nil
	}
	now := syscall.NsecToTimeval(unixNS)
	return syscall.Settimeofday(&now)
}

const (
	maxInterfaces = 32
	rndAddEntropy = 0x40085203 // RNDADDENTROPY, linux/random.h
	rndReseed     = 0x5207     // RNDRESEEDCRNG
	maxEntropy    = 512
)

// reseed mixes the host's bytes into the kernel's pool, credits them and makes the generator use them at once.
func reseed(encoded string) error {
	bytes, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(bytes) == 0 || len(bytes) > maxEntropy {
		return fmt.Errorf("1 to %d bytes of base64 are needed", maxEntropy)
	}
	device, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	pool := struct {
		bits, size int32
		bytes      [maxEntropy]byte
	}{bits: int32(8 * len(bytes)), size: int32(len(bytes))}
	copy(pool.bytes[:], bytes)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), rndAddEntropy, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), rndReseed, 0); errno != 0 {
		return errno
	}
	return nil
}

// writeFiles replaces what an image brought along; an image may forbid it, which is its own affair.
func writeFiles(request Request) {
	for path, text := range files(request) {
		if found, err := os.Lstat(path); err != nil || !found.Mode().IsRegular() || !says(path, text) {
			_ = os.Remove(path)
			_ = os.WriteFile(path, []byte(text), 0o644)
		}
	}
}

func says(path, text string) bool {
	found, err := os.ReadFile(path)
	return err == nil && string(found) == text
}

func files(request Request) map[string]string {
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	for _, link := range request.Interfaces {
		for _, address := range link.Addresses {
			ip, _, _ := strings.Cut(address, "/")
			hosts += ip + " " + request.Hostname + "\n"
		}
	}
	resolv := ""
	for _, server := range request.DNS.Servers {
		resolv += "nameserver " + server + "\n"
	}
	if len(request.DNS.Search) > 0 {
		resolv += "search " + strings.Join(request.DNS.Search, " ") + "\n"
	}
	return map[string]string{"/etc/hostname": request.Hostname + "\n", "/etc/hosts": hosts, "/etc/resolv.conf": resolv}
}

func report(request Request) (Report, error) {
	name, err := os.Hostname()
	if err != nil {
		return Report{}, err
	}
	result := Report{Hostname: name, ClockUnixNS: time.Now().UnixNano(), Interfaces: []ReportedLink{}, MachineID: machineID("/")}
	for _, wanted := range request.Interfaces {
		link, err := byMAC(wanted.MAC)
		if err != nil {
			return Report{}, err
		}
		reported := ReportedLink{Name: link.Name, MAC: link.HardwareAddr.String(), Addresses: []string{}}
		addresses, _ := link.Addrs()
		for _, address := range addresses {
			reported.Addresses = append(reported.Addresses, address.String())
		}
		result.Interfaces = append(result.Interfaces, reported)
	}
	return result, nil
}

func byMAC(mac string) (*net.Interface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range links {
		if strings.EqualFold(links[i].HardwareAddr.String(), mac) {
			return &links[i], nil
		}
	}
	return nil, fmt.Errorf("there is none with this MAC")
}
