// The createos guest agent: process 1 of a sandbox, and the other end of the host's channel (PROTOCOL.md).
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"createos.local/agent/internal/boot"
	"createos.local/agent/internal/dial"
	"createos.local/agent/internal/disk"
	"createos.local/agent/internal/execute"
	"createos.local/agent/internal/files"
	"createos.local/agent/internal/identity"
	"createos.local/agent/internal/launch"
	"createos.local/agent/internal/measure"
	"createos.local/agent/internal/mounts"
	"createos.local/agent/internal/mux"
	"createos.local/agent/internal/power"
	"createos.local/agent/internal/process"
	"createos.local/agent/internal/reap"
	"createos.local/agent/internal/self"
	"createos.local/agent/internal/sftp"
	"createos.local/agent/internal/stats"
	"createos.local/agent/internal/syncs"
)

// sftpFlag makes this program an SFTP server on its standard input and output.
const sftpFlag = "--sftp"

func main() {
	if len(os.Args) == 3 && os.Args[1] == "--serve-socket" {
		exitOn(serveSocket(os.Args[2]))
		return
	}
	if len(os.Args) == 2 && os.Args[1] == sftpFlag {
		exitOn(sftp.Serve(os.Stdin, os.Stdout, sftp.Home()))
		return
	}
	if os.Getpid() != 1 {
		exitOn(fmt.Errorf("this program is the first process of a sandbox; on a host it can only --serve-socket PATH"))
	}
	runAsInit()
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "createos-agent:", err)
		os.Exit(1)
	}
}

// runAsInit never returns: without process 1 the kernel panics.
func runAsInit() {
	begun := time.Now()
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()))
	boot.Early()
	if boot.Option("createos.probe") == "1" {
		_, _ = os.Stdout.WriteString("createos-probe-ok\n")
		power.Now()
	}
	modules, err := boot.ReadModules()
	if err != nil {
		boot.Log("modules: %v", err)
	}
	modules.LoadFirst()
	go onSignals()
	port, err := boot.OpenPort()
	if err != nil {
		boot.Log("%v", err)
		power.Now()
	}
	door := &self.Door{}
	loaded := make(chan struct{})
	served := mux.New(port, handler(reap.New(), door, guest, func() { <-loaded }))
	go func() {
		boot.Log("port: %v", served.Serve(boot.Gone))
		power.Off()
	}()
	failure := ""
	if err := boot.Root(boot.Option("createos.root")); err != nil {
		boot.Log("%v", err)
		failure = err.Error()
	} else {
		boot.Late()
		if err := identity.Loopback(); err != nil {
			boot.Log("lo: %v", err)
		}
		openDoor(door)
	}
	served.SetReady(ready(failure, begun))
	go func() {
		defer close(loaded)
		modules.LoadRest()
	}()
	select {}
}

// openDoor lets the programs of the guest ask for its pause or end.
func openDoor(door *self.Door) {
	listener, err := net.Listen("tcp4", self.Address)
	if err != nil {
		boot.Log("%v", err)
	} else {
		go func() { boot.Log("%s: %v", self.Address, door.ServeHTTP(listener)) }()
	}
	go func() { boot.Log("%s: %v", self.FIFO, door.ServeFIFO(self.FIFO, boot.Log)) }()
}

// onSignals ends the guest in good order when the kernel or somebody in it asks for that.
func onSignals() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	power.Off()
}

// place says where the agent runs; on a host it must not change the machine.
type place int

const (
	guest place = iota
	host
)

// handler serves streams; idle returns when the agent has nothing left to do that nobody has asked for.
func handler(reaper *reap.Reaper, door *self.Door, where place, idle func()) mux.Handler {
	launcher := launch.Launcher{Reaper: reaper, Root: "/"}
	programs := &execute.Executor{Launcher: launcher}
	processes := &process.Registry{Launcher: launcher}
	if where == guest {
		processes.Cgroups = "/sys/fs/cgroup/createos"
	}
	trees := &syncs.Server{}
	disks := &mounts.Server{System: mounts.Guest(), Reaper: reaper, Idle: idle}
	return func(stream *mux.Stream) {
		var request struct {
			Kind   string `json:"kind"`
			Action string `json:"action"`
		}
		if err := json.Unmarshal(stream.Request, &request); err != nil {
			stream.Fail("bad_request", "the request is not a JSON object")
			return
		}
		switch {
		case request.Kind == "exec":
			programs.Serve(stream)
		case request.Kind == "process":
			processes.Serve(stream)
		case request.Kind == "sync":
			trees.Serve(stream)
		case request.Kind == "sftp":
			programs.ServeSelf(stream, sftpFlag)
		case request.Kind == "dial":
			dial.Serve(stream)
		case request.Kind == "file_read":
			files.Read(stream)
		case request.Kind == "file_write":
			files.Write(stream)
		case request.Kind == "discard":
			measure.Discard(stream)
		case request.Kind == "source":
			measure.Source(stream)
		case request.Kind == "events":
			door.Serve(stream)
		case request.Kind == "ping":
			stream.Finish(struct{}{})
		case request.Kind == "settle":
			settle(stream, idle)
		case request.Kind == "stats":
			stream.Finish(stats.Read())
		case request.Kind == "grow" && where == guest:
			disk.Serve(stream, boot.Option("createos.root"), "/")
		case request.Kind == "configure" && where == guest:
			configure(stream, identity.Apply)
		case request.Kind == "wake" && where == guest:
			configure(stream, identity.Wake)
		case request.Kind == "links" && where == guest:
			configure(stream, identity.Connect)
		case request.Kind == "shutdown" && where == guest:
			shutdown(stream, request.Action)
		case disks.Handler(request.Kind) != nil && where == guest:
			disks.Handler(request.Kind)(stream)
		default:
			stream.Fail("bad_request", fmt.Sprintf("unknown kind %q", request.Kind))
		}
	}
}

func configure(stream *mux.Stream, apply func(identity.Request) (identity.Report, error)) {
	request, err := identity.Parse(stream.Request)
	if err != nil {
		stream.Fail("bad_request", err.Error())
		return
	}
	report, err := apply(request)
	if err != nil {
		stream.Fail("failed", err.Error())
		return
	}
	stream.Finish(report)
}

// settle makes a guest ready to be copied: nothing goes on in it, and it holds no memory that it does not need.
func settle(stream *mux.Stream, idle func()) {
	idle()
	syscall.Sync()
	debug.FreeOSMemory()
	stream.Finish(struct{}{})
}

func shutdown(stream *mux.Stream, action string) {
	switch action {
	case "poweroff":
		stream.Finish(struct{}{})
		power.Off()
	case "reboot":
		stream.Finish(struct{}{})
		power.Reboot()
	default:
		stream.Fail("bad_request", fmt.Sprintf("unknown action %q", action))
	}
}

// serveSocket serves the protocol on a unix socket of a host, one client after the other: for tests.
func serveSocket(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	handle := handler(reap.New(), &self.Door{}, host, func() {})
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		served := mux.New(onceOnly{connection}, handle)
		served.SetReady(ready("", time.Now()))
		_ = served.Serve(func() {})
		_ = connection.Close()
	}
}

// onceOnly makes the end of a connection the end of its mux; only a real port comes back.
type onceOnly struct{ net.Conn }

func (c onceOnly) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	if err == io.EOF {
		err = net.ErrClosed
	}
	return n, err
}
