package semantics

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// message is a request or an answer of HTTP/1, as it was on the wire.
type message struct {
	start   string      // the first line
	header  [][2]string // as written, in order, without spaces around values
	body    string      // without the framing of chunks
	trailer [][2]string
}

// get returns the first value of a header, in lower case.
func (m *message) get(name string) string {
	for _, h := range m.header {
		if strings.EqualFold(h[0], name) {
			return strings.ToLower(h[1])
		}
	}
	return ""
}

// readHead reads a first line and headers. Lines that go on on the next one stay as they are.
func readHead(r *bufio.Reader) (message, error) {
	var m message
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return m, fmt.Errorf("after %.200q: %w", m.start+line, err)
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case m.start == "" && line == "": // an empty line before the first
		case m.start == "":
			m.start = line
		case line == "":
			return m, nil
		case line[0] == ' ' || line[0] == '\t':
			if n := len(m.header); n > 0 {
				m.header[n-1][1] += "\n" + line
			}
		default:
			m.header = append(m.header, pair(line))
		}
	}
}

func pair(line string) [2]string {
	name, value, _ := strings.Cut(line, ":")
	return [2]string{name, strings.Trim(value, " \t")}
}

// readBody reads what follows a head. An answer without a length ends with the connection; a request without one has no body.
func (m *message) readBody(r *bufio.Reader, endsWithConnection bool) error {
	switch length := m.get("content-length"); {
	case strings.Contains(m.get("transfer-encoding"), "chunked"):
		return m.readChunks(r)
	case length != "":
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil //nolint:nilerr // a length that is none has no body
		}
		b := make([]byte, n)
		got, err := io.ReadFull(r, b)
		m.body = string(b[:got])
		return err
	case endsWithConnection:
		b, err := io.ReadAll(r)
		m.body = string(b)
		return err
	}
	return nil
}

func (m *message) readChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 32)
		if err != nil {
			return err
		}
		if n == 0 {
			return m.readTrailer(r)
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		m.body += string(b[:n])
	}
}

func (m *message) readTrailer(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return nil
		}
		m.trailer = append(m.trailer, pair(line))
	}
}

// status is the code of an answer.
func (m *message) status() string {
	parts := strings.SplitN(m.start, " ", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// readAnswer reads an answer to a request of that method.
func readAnswer(r *bufio.Reader, method string) (message, error) {
	m, err := readHead(r)
	if err != nil {
		return m, err
	}
	switch status := m.status(); {
	case method == "HEAD", strings.HasPrefix(status, "1"), status == "204", status == "304":
		return m, nil
	}
	return m, m.readBody(r, true)
}
