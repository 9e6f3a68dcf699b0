package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	linkWait    = 5 * time.Second
	carrierWait = 2 * time.Second
)

// bringUp gives an interface its addresses and routes; the link comes up between the two, since routes need it.
//
// The interface is down until its addresses are set: nothing leaves it with any other source.
func bringUp(wanted Interface) error {
	if err := takeOver(wanted); err != nil {
		return err
	}
	link, err := byMAC(wanted.MAC)
	for end := time.Now().Add(linkWait); err != nil && time.Now().Before(end); link, err = byMAC(wanted.MAC) {
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	for _, setting := range []string{"accept_ra", "accept_dad", "autoconf", "router_solicitations"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link.Name+"/"+setting, []byte("0"), 0o644)
	}
	kernel, err := dialNetlink()
	if err != nil {
		return err
	}
	defer kernel.close()
	for _, address := range wanted.Addresses {
		prefix, err := netip.ParsePrefix(address)
		if err != nil {
			return err
		}
		if err := kernel.do(addAddress(link.Index, prefix)); err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
	}
	if err := kernel.do(setUp(link.Index, wanted.MTU)); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	return addGateways(kernel, link.Index, wanted.Gateways)
}

// awaitCarrier waits until the kernel sends on a card that was plugged in: what it is given before that is lost.
func awaitCarrier(mac string) {
	link, err := byMAC(mac)
	if err != nil {
		return
	}
	for end := time.Now().Add(carrierWait); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		state, err := os.ReadFile("/sys/class/net/" + link.Name + "/operstate")
		if err != nil || string(state) == "up\n" {
			return
		}
	}
}

func addGateways(kernel *netlink, index int, gateways []string) error {
	for _, text := range gateways {
		gateway, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := kernel.do(addOnLinkRoute(index, gateway)); err != nil {
			return fmt.Errorf("route to %s: %w", text, err)
		}
		if err := kernel.do(addDefaultRoute(index, gateway)); err != nil {
			return fmt.Errorf("default route via %s: %w", text, err)
		}
	}
	return nil
}

// Loopback brings lo up; a guest without it surprises every program that talks to itself.
func Loopback() error {
	const loopback = 1
	kernel, err := dialNetlink()
	if err != nil {
		return err
	}
	defer kernel.close()
	return kernel.do(setUp(loopback, 0))
}

// netlink is a route netlink socket.
type netlink struct{ fd int }

func dialNetlink() (*netlink, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	return &netlink{fd}, err
}

func (n *netlink) close() { _ = syscall.Close(n.fd) }

// do sends one request and waits for its acknowledgement; what is there already is fine.
func (n *netlink) do(request []byte) error {
	if err := syscall.Sendto(n.fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	size, _, err := syscall.Recvfrom(n.fd, buffer, 0)
	if err != nil {
		return err
	}
	err = acknowledgement(buffer[:size])
	if errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}
