package identity

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
)

// Route netlink messages (rtnetlink(7)). Numbers are in the machine's byte order, which is little endian here.
const (
	create    = syscall.NLM_F_REQUEST | syscall.NLM_F_ACK | syscall.NLM_F_CREATE | syscall.NLM_F_REPLACE
	noDAD     = 0x02 // IFA_F_NODAD: usable at once
	anyFamily = 0
)

func addAddress(index int, prefix netip.Prefix) []byte {
	address := prefix.Addr().AsSlice()
	body := []byte{family(prefix.Addr()), byte(prefix.Bits()), noDAD, syscall.RT_SCOPE_UNIVERSE}
	body = binary.LittleEndian.AppendUint32(body, uint32(index))
	body = attribute(body, syscall.IFA_LOCAL, address)
	return message(syscall.RTM_NEWADDR, create, attribute(body, syscall.IFA_ADDRESS, address))
}

func setUp(index, mtu int) []byte {
	body := []byte{anyFamily, 0, 0, 0}
	body = binary.LittleEndian.AppendUint32(body, uint32(index))
	body = binary.LittleEndian.AppendUint32(body, syscall.IFF_UP)
	body = binary.LittleEndian.AppendUint32(body, syscall.IFF_UP)
	if mtu > 0 {
		body = attribute(body, syscall.IFLA_MTU, binary.LittleEndian.AppendUint32(nil, uint32(mtu)))
	}
	return message(syscall.RTM_NEWLINK, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, body)
}

func addOnLinkRoute(index int, to netip.Addr) []byte {
	body := route(family(to), byte(to.BitLen()), syscall.RT_SCOPE_LINK)
	body = attribute(body, syscall.RTA_DST, to.AsSlice())
	return message(syscall.RTM_NEWROUTE, create, outOf(body, index))
}

func addDefaultRoute(index int, via netip.Addr) []byte {
	body := route(family(via), 0, syscall.RT_SCOPE_UNIVERSE)
	body = attribute(body, syscall.RTA_GATEWAY, via.AsSlice())
	return message(syscall.RTM_NEWROUTE, create, outOf(body, index))
}

// route is a struct rtmsg.
func route(family, bits, scope byte) []byte {
	return []byte{family, bits, 0, 0, syscall.RT_TABLE_MAIN, syscall.RTPROT_STATIC, scope, syscall.RTN_UNICAST, 0, 0, 0, 0}
}

func outOf(body []byte, index int) []byte {
	return attribute(body, syscall.RTA_OIF, binary.LittleEndian.AppendUint32(nil, uint32(index)))
}

func family(address netip.Addr) byte {
	if address.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

func attribute(body []byte, kind uint16, value []byte) []byte {
	const header, alignment = 4, 4
	body = binary.LittleEndian.AppendUint16(body, uint16(header+len(value)))
	body = binary.LittleEndian.AppendUint16(body, kind)
	body = append(body, value...)
	for len(body)%alignment != 0 {
		body = append(body, 0)
	}
	return body
}

func message(kind, flags uint16, body []byte) []byte {
	head := binary.LittleEndian.AppendUint32(nil, uint32(syscall.NLMSG_HDRLEN+len(body)))
	head = binary.LittleEndian.AppendUint16(head, kind)
	head = binary.LittleEndian.AppendUint16(head, flags)
	head = append(head, make([]byte, 8)...)
	return append(head, body...)
}

// acknowledgement returns the error number of an answer, nil for success.
func acknowledgement(answer []byte) error {
	const errorOffset = syscall.NLMSG_HDRLEN
	if len(answer) < errorOffset+4 || binary.LittleEndian.Uint16(answer[4:]) != syscall.NLMSG_ERROR {
		return fmt.Errorf("unexpected answer of the kernel")
	}
	if number := int32(binary.LittleEndian.Uint32(answer[errorOffset:])); number != 0 {
		return syscall.Errno(-number)
	}
	return nil
}
