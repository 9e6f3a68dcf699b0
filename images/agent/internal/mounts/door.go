package mounts

import (
	"net"
	"sync"
	"syscall"
)

// What the kernel says of a connection whose peer has closed it (include/net/tcp_states.h).
const closeWait = 8

// door is where the s3fs of a mount asks its host: connections wait in the kernel until the host takes one.
type door struct {
	listener    *net.TCPListener
	connections chan *net.TCPConn
	closed      chan struct{}
	once        sync.Once
}

func openDoor() (*door, error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	d := &door{listener: listener, connections: make(chan *net.TCPConn), closed: make(chan struct{})}
	go d.serve()
	return d, nil
}

func (d *door) url() string { return "http://" + d.listener.Addr().String() }

func (d *door) serve() {
	for {
		connection, err := d.listener.AcceptTCP()
		if err != nil {
			d.close()
			return
		}
		select {
		case d.connections <- connection:
		case <-d.closed:
			_ = connection.Close()
			return
		}
	}
}

func (d *door) close() {
	d.once.Do(func() {
		close(d.closed)
		_ = d.listener.Close()
	})
}

// abandoned tells whether s3fs has given a connection up, which it does with all of it at once. What it had asked there may be long out of
// date: a write that came through now could undo a later one.
func abandoned(connection *net.TCPConn) bool {
	raw, err := connection.SyscallConn()
	if err != nil {
		return true
	}
	state := 0
	err = raw.Control(func(fd uintptr) {
		state, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	})
	// The state is the first byte of what the kernel tells.
	return err != nil || state&0xff == closeWait
}
