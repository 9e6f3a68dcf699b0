package identity

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// linux/rtnetlink.h, linux/fib_rules.h
const (
	newRule, deleteRule = 32, 33
	fraSource           = 2
	fraPriority         = 6
	actionBlackhole     = 6
	// Behind the rule for local addresses (0), before those that find a way out.
	blackholePriority = 77
)

func setDown(index int) []byte {
	body := []byte{anyFamily, 0, 0, 0}
	body = binary.LittleEndian.AppendUint32(body, uint32(index))
	body = binary.LittleEndian.AppendUint32(body, 0)
	body = binary.LittleEndian.AppendUint32(body, syscall.IFF_UP)
	return message(syscall.RTM_NEWLINK, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, body)
}

func setMAC(index int, mac net.HardwareAddr) []byte {
	body := []byte{anyFamily, 0, 0, 0}
	body = binary.LittleEndian.AppendUint32(body, uint32(index))
	body = append(body, make([]byte, 8)...)
	return message(syscall.RTM_NEWLINK, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, attribute(body, syscall.IFLA_ADDRESS, mac))
}

func deleteAddress(index int, prefix netip.Prefix) []byte {
	address := prefix.Addr().AsSlice()
	body := []byte{family(prefix.Addr()), byte(prefix.Bits()), 0, 0}
	body = binary.LittleEndian.AppendUint32(body, uint32(index))
	body = attribute(body, syscall.IFA_LOCAL, address)
	return message(syscall.RTM_DELADDR, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, body)
}

// blackhole is a rule that swallows what has this source address.
func blackhole(kind uint16, from netip.Addr) []byte {
	body := []byte{family(from), 0, byte(from.BitLen()), 0, 0, 0, 0, actionBlackhole, 0, 0, 0, 0}
	body = attribute(body, fraSource, from.AsSlice())
	body = attribute(body, fraPriority, binary.LittleEndian.AppendUint32(nil, blackholePriority))
	flags := uint16(syscall.NLM_F_REQUEST | syscall.NLM_F_ACK)
	if kind == newRule {
		flags |= syscall.NLM_F_CREATE | syscall.NLM_F_EXCL
	}
	return message(kind, flags, body)
}
