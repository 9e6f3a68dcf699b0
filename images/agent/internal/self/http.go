package self

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// Address is where the door is inside the guest (wire-api 17).
const Address = "127.0.0.1:1029"

const (
	maxHead        = 8 << 10
	maxBody        = 64 << 10
	maxConnections = 16
	exchangeWait   = 10 * time.Second
)

// A server of two routes: net/http would double the agent.
type answer struct {
	status int
	phrase string
	header string
	body   map[string]any
}

// ServeHTTP answers on a listener until it is closed; what comes above 16 connections waits in the kernel.
func (d *Door) ServeHTTP(listener net.Listener) error {
	places := make(chan struct{}, maxConnections)
	for {
		places <- struct{}{}
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { <-places }()
			d.exchange(connection)
		}()
	}
}

func (d *Door) exchange(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(exchangeWait))
	said, confirm := d.respond(bufio.NewReader(io.LimitReader(connection, maxHead)))
	body, _ := json.Marshal(said.body)
	_, err := fmt.Fprintf(connection, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s",
		said.status, said.phrase, len(body), said.header, body)
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if err == nil {
		confirm()
	}
	// A body that nobody read would turn the end of the connection into a reset, and the answer would be lost.
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, connection, maxBody)
}

func (d *Door) respond(reader *bufio.Reader) (answer, func()) {
	action, reason, refusal := parse(reader)
	if refusal != nil {
		return *refusal, func() {}
	}
	verdict, confirm := d.Ask(action, reason)
	if !verdict.Accepted {
		return failed(503, "Service Unavailable", verdict.Message), confirm
	}
	data := map[string]string{"status": "accepted", "action": action}
	return answer{202, "Accepted", "", map[string]any{"status": "success", "data": data}}, confirm
}

// parse reads a request's head; the refusal says what was wrong with it.
func parse(reader *bufio.Reader) (action, reason string, refusal *answer) {
	refuse := func(status int, phrase, text string) (string, string, *answer) {
		said := failed(status, phrase, text)
		return "", "", &said
	}
	head := textproto.NewReader(reader)
	line, err := head.ReadLine()
	if err != nil {
		return refuse(400, "Bad Request", "there was no request")
	}
	words := strings.Split(line, " ")
	if len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1.") {
		return refuse(400, "Bad Request", "this is not HTTP/1.1, or longer than 8 KiB")
	}
	header, err := head.ReadMIMEHeader()
	if err != nil {
		return refuse(431, "Request Header Fields Too Large", "the head of the request has no end within 8 KiB")
	}
	target, err := url.ParseRequestURI(words[1])
	if err != nil {
		return refuse(400, "Bad Request", "the path cannot be read")
	}
	action = strings.TrimPrefix(target.Path, "/self/")
	if target.Path != "/self/pause" && target.Path != "/self/delete" {
		return refuse(404, "Not Found", "there is no such path; POST /self/pause or /self/delete")
	}
	if words[0] != "POST" {
		said := failed(405, "Method Not Allowed", "use POST "+target.Path)
		said.header = "Allow: POST\r\n"
		return "", "", &said
	}
	if header.Get("Origin") != "" {
		return refuse(403, "Forbidden", "a web page may not do this")
	}
	return action, target.Query().Get("reason"), nil
}

func failed(status int, phrase, text string) answer {
	body := map[string]any{"status": "fail", "data": text}
	if status >= 500 {
		body = map[string]any{"status": "error", "message": text, "code": status, "data": text}
	}
	return answer{status, phrase, "", body}
}
