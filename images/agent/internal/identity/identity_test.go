package identity

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

func TestFilesNameTheGuestAndItsServers(t *testing.T) {
	written := files(Request{
		Hostname:   "box",
		DNS:        DNS{Servers: []string{"192.0.2.1", "2001:db8::1"}, Search: []string{"fc.local"}},
		Interfaces: []Interface{{Addresses: []string{"10.77.0.2/32", "fd77::2/128"}}},
	})
	if written["/etc/hostname"] != "box\n" {
		t.Errorf("%q", written["/etc/hostname"])
	}
	if written["/etc/resolv.conf"] != "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch fc.local\n" {
		t.Errorf("%q", written["/etc/resolv.conf"])
	}
	for _, line := range []string{"127.0.0.1 localhost\n", "10.77.0.2 box\n", "fd77::2 box\n"} {
		if !strings.Contains(written["/etc/hosts"], line) {
			t.Errorf("%q lacks %q", written["/etc/hosts"], line)
		}
	}
}

func TestMessagesHaveTheLengthTheySay(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.77.0.2/32"), netip.MustParsePrefix("fd77::2/128")
	for name, message := range map[string][]byte{
		"address v4": addAddress(2, v4),
		"address v6": addAddress(2, v6),
		"up":         setUp(2, 1400),
		"on link":    addOnLinkRoute(2, netip.MustParseAddr("169.254.77.1")),
		"default":    addDefaultRoute(2, netip.MustParseAddr("fe80::1")),
	} {
		if int(binary.LittleEndian.Uint32(message)) != len(message) || len(message)%4 != 0 {
			t.Errorf("%s: says %d, has %d", name, binary.LittleEndian.Uint32(message), len(message))
		}
	}
}

func TestAnAcknowledgementIsAnErrorNumber(t *testing.T) {
	answer := func(number int32) []byte {
		head := message(syscall.NLMSG_ERROR, 0, make([]byte, 4))
		binary.LittleEndian.PutUint32(head[syscall.NLMSG_HDRLEN:], uint32(number))
		return head
	}
	if err := acknowledgement(answer(0)); err != nil {
		t.Error(err)
	}
	if err := acknowledgement(answer(-int32(syscall.EPERM))); err != syscall.EPERM {
		t.Error(err)
	}
	if acknowledgement([]byte{1, 2}) == nil {
		t.Error("a short answer is no success")
	}
}

func TestEntropyMustBeThere(t *testing.T) {
	for _, encoded := range []string{"", "%%%", strings.Repeat("AAAA", 200)} {
		if reseed(encoded) == nil {
			t.Errorf("%.10q was accepted", encoded)
		}
	}
}

func TestAnUnknownMACIsAnError(t *testing.T) {
	if _, err := byMAC("02:00:00:00:00:99"); err == nil {
		t.Error("found")
	}
}
