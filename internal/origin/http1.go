package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange1 is one HTTP/1 request and the connection to answer it on.
type exchange1 struct {
	o      *Origin
	conn   gatedConn
	r      *bufio.Reader
	w      *bufio.Writer
	head   string
	req    *http.Request
	at     time.Duration
	answer answer
}

// serve1 answers the requests of an HTTP/1 connection one after another. It is not net/http's server, because that does not tell the
// order and the case of headers.
func (o *Origin) serve1(c gatedConn, r *bufio.Reader, u *use) {
	w := bufio.NewWriterSize(c, 16<<10)
	for {
		head, err := readHead(r)
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				_, _ = io.WriteString(c, "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
			}
			return
		}
		if !u.begin() {
			return // it was idle when the origin shut down
		}
		x := exchange1{o: o, conn: c, r: r, w: w, head: head}
		if keep := x.serve(); !keep {
			return
		}
		u.end()
		if o.shutting.Load() {
			return // shut down between the answer and the end of its use
		}
	}
}

// readHead waits for a whole head and returns it without consuming it.
func readHead(r *bufio.Reader) (string, error) {
	for {
		b, err := r.Peek(max(1, r.Buffered()))
		if err != nil {
			return "", err
		}
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return string(b[:i+4]), nil
		}
		if _, err := r.Peek(len(b) + 1); err != nil {
			return "", err
		}
	}
}

// serve answers one request; keep is false if the connection ends with it.
func (x *exchange1) serve() (keep bool) {
	x.o.inFlight.Add(1)
	defer x.o.inFlight.Add(-1)
	req, err := http.ReadRequest(x.r)
	if err != nil {
		x.at = x.o.arrived("")
		x.o.keepWhole(Request{At: x.at, Head: x.head, Echo: Echo{Origin: x.o.name, Malformed: err.Error()}})
		_, _ = io.WriteString(x.conn, "HTTP/1.1 400 Bad Request\r\nX-Origin: "+x.o.name+"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
		return false
	}
	x.req = req
	service := serviceOf(req.Host)
	x.at = x.o.arrived(service)
	fate := x.o.dice.roll()
	if fate.reset {
		_ = x.conn.SetLinger(0)
		return false
	}
	if isWebSocket(req) {
		x.o.keepWhole(Request{At: x.at, Service: service, Head: x.head, Echo: x.echo(bodyFacts{})})
		x.webSocket()
		return false
	}
	body, err := x.readBody()
	if err != nil {
		return false
	}
	seen := x.echo(body)
	x.o.keepWhole(Request{At: x.at, Service: service, Head: x.head, Echo: seen})
	x.answer = x.o.answerTo(fate, req.Header.Get(AnswerHeader), seen)
	if x.write() != nil {
		return false
	}
	x.o.answered.Add(1)
	return !x.answer.close && !req.Close
}

// echo is what arrived.
func (x *exchange1) echo(body bodyFacts) Echo {
	e := Echo{
		Origin: x.o.name, Proto: x.req.Proto, Method: x.req.Method, Path: x.req.RequestURI, Host: x.req.Host,
		BodyBytes: body.bytes, BodySHA256: body.sum, Trailer: sortedPairs(x.req.Trailer),
	}
	if x.o.plain && x.o.keep == 0 {
		return e // nobody will read the headers
	}
	e.Header = rawHeader(x.head)
	return e
}

// rawHeader splits a head into its headers: as sent, in order.
func rawHeader(head string) [][2]string {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")[1:]
	out := make([][2]string, 0, len(lines))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		out = append(out, [2]string{name, strings.Trim(value, " \t")})
	}
	return out
}

func (x *exchange1) readBody() (bodyFacts, error) {
	if x.req.Body == http.NoBody {
		return bodyFacts{}, nil
	}
	if strings.EqualFold(x.req.Header.Get("expect"), "100-continue") {
		if _, err := io.WriteString(x.conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return bodyFacts{}, err
		}
	}
	return readBody(x.req.Body)
}

// write writes the answer.
func (x *exchange1) write() error {
	if !pause(x.answer.delay, x.o) {
		return net.ErrClosed
	}
	x.answer.close = x.answer.close || x.o.leaving.Load()
	b := x.w
	b.WriteString("HTTP/1.1 " + strconv.Itoa(x.answer.status) + " " + http.StatusText(x.answer.status) + "\r\n")
	for _, h := range x.answer.header {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if x.answer.close || x.req.Close {
		b.WriteString("Connection: close\r\n")
	} else if x.req.ProtoMinor == 0 {
		b.WriteString("Connection: keep-alive\r\n")
	}
	hasBody := x.req.Method != http.MethodHead && x.answer.status != http.StatusNoContent && x.answer.status != http.StatusNotModified
	if !x.answer.chunked() || x.req.ProtoMinor == 0 {
		if x.answer.status != http.StatusNoContent {
			b.WriteString("Content-Length: " + strconv.Itoa(len(x.answer.body)*x.answer.times) + "\r\n")
		}
		b.WriteString("\r\n")
		return x.writeBody(hasBody, func(p []byte) { _, _ = b.Write(p) })
	}
	b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	err := x.writeBody(hasBody, func(p []byte) {
		b.WriteString(strconv.FormatInt(int64(len(p)), 16) + "\r\n")
		_, _ = b.Write(p)
		b.WriteString("\r\n")
	})
	if err != nil || !hasBody {
		return err
	}
	b.WriteString("0\r\n\r\n")
	return b.Flush()
}

// writeBody writes the body, piece by piece if it is to come so.
func (x *exchange1) writeBody(hasBody bool, piece func([]byte)) error {
	if hasBody {
		for i := range x.answer.times {
			if i > 0 {
				if err := x.w.Flush(); err != nil {
					return err
				}
				if !pause(x.answer.every, x.o) {
					return net.ErrClosed
				}
			}
			piece(x.answer.body)
		}
	}
	return x.w.Flush()
}
