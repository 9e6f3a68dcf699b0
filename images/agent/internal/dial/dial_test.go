package dial

import (
	"io"
	"net"
	"strings"
	"testing"

	"createos.local/agent/internal/muxtest"
)

// listen serves one connection on a loopback port and returns the port.
func listen(t *testing.T, serve func(*net.TCPConn)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		if connection, err := listener.Accept(); err == nil {
			serve(connection.(*net.TCPConn))
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func TestBytesAndEndsPassBothWays(t *testing.T) {
	port := listen(t, func(c *net.TCPConn) {
		heard, _ := io.ReadAll(c)
		_, _ = c.Write(append([]byte("heard "), heard...))
		c.Close()
	})
	h := muxtest.Open(t, Serve, map[string]int{"port": port})
	h.Until(func() bool { return h.Closed[head] })
	h.Input(strings.Repeat("x", 60000), true)
	h.Finish()
	if h.Code != "" || len(h.Out[output]) != 60006 || !h.Closed[output] {
		t.Fatalf("%s %s %d", h.Code, h.Message, len(h.Out[output]))
	}
}

func TestTheGuestMayEndItsHalfFirst(t *testing.T) {
	heard := make(chan string, 1)
	port := listen(t, func(c *net.TCPConn) {
		_, _ = c.Write([]byte("bye"))
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(c)
		heard <- string(rest)
		c.Close()
	})
	h := muxtest.Open(t, Serve, map[string]int{"port": port})
	h.Until(func() bool { return h.Closed[output] })
	h.Input("still here", true)
	h.Finish()
	if got := <-heard; got != "still here" || h.Code != "" {
		t.Fatal(got, h.Code)
	}
}

func TestNobodyListeningIsSaidBeforeAnyData(t *testing.T) {
	h := muxtest.Open(t, Serve, map[string]int{"port": 1}).Finish()
	if h.Code != "refused" || len(h.Out) != 0 {
		t.Fatalf("%+v", h)
	}
}

func TestAnUnknownNameAndABadPortAreRefused(t *testing.T) {
	if h := muxtest.Open(t, Serve, map[string]any{"port": 80, "address": "no-such-host.invalid"}).Finish(); h.Code == "" {
		t.Fatalf("%+v", h)
	}
	if h := muxtest.Open(t, Serve, map[string]any{"port": 70000}).Finish(); h.Code != "bad_request" {
		t.Fatalf("%+v", h)
	}
}

func TestAResetIsNoOrderlyEnd(t *testing.T) {
	port := listen(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
		c.Close()
	})
	h := muxtest.Open(t, Serve, map[string]int{"port": port})
	h.Input("x", false)
	if h.Finish(); h.Code != "reset" {
		t.Fatalf("%+v", h)
	}
}

func TestACancelledStreamResetsTheConnection(t *testing.T) {
	failure := make(chan error, 1)
	port := listen(t, func(c *net.TCPConn) {
		_, err := c.Read(make([]byte, 1))
		failure <- err
	})
	h := muxtest.Open(t, Serve, map[string]int{"port": port})
	h.Until(func() bool { return h.Closed[head] })
	h.Cancel()
	h.Finish()
	if err := <-failure; err == nil || err == io.EOF {
		t.Fatal(err)
	}
}
