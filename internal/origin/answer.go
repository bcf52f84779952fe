package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AnswerHeader is the request header that asks for a certain answer. Its value is a query string:
//
//	status=404                 that status
//	bytes=1000                 a body of so many bytes
//	delay=100ms                wait so long first
//	header=Name:value          one more header; may be repeated
//	close=1                    close the connection afterwards
//	times=5&every=10ms         the body that many times, in pieces so far apart (HTTP/1.1: chunked)
//
// A value that cannot be understood is answered 400 with the reason.
const AnswerHeader = "x-answer"

// Echo is what an origin saw; it is the body of its answers, as JSON.
type Echo struct {
	Origin     string      `json:"origin"`
	Proto      string      `json:"proto"`
	Method     string      `json:"method"`
	Path       string      `json:"path"` // the request target as sent, query included
	Host       string      `json:"host"`
	Header     [][2]string `json:"header"` // HTTP/1: as sent, in order, Host included; HTTP/2: lower case, sorted by name
	Trailer    [][2]string `json:"trailer,omitempty"`
	BodyBytes  int64       `json:"bodyBytes"`
	BodySHA256 string      `json:"bodySha256,omitempty"` // hex; empty without a body
	Malformed  string      `json:"malformed,omitempty"`  // why the request could not be read; then only Origin is set beside it
}

// Get returns the values of a header, in order, whatever its case.
func (e Echo) Get(name string) []string {
	var values []string
	for _, h := range e.Header {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

// answer is what to send.
type answer struct {
	status int
	header [][2]string
	body   []byte
	times  int // how often the body is sent
	every  time.Duration
	delay  time.Duration
	close  bool
}

func (a answer) chunked() bool { return a.times > 1 }

// answerTo decides the answer to a request.
func (o *Origin) answerTo(f fate, asked string, seen Echo) answer {
	a := answer{status: http.StatusOK, times: 1, delay: f.latency, header: [][2]string{{"X-Origin", o.name}, {"Server", "toy-origin"}}}
	if o.plain {
		a.header = append(a.header, [2]string{"Content-Type", "text/plain"})
		a.body = append([]byte(o.name), '\n')
	} else {
		a.header = append(a.header, [2]string{"Content-Type", "application/json"})
		a.body = append(seen.json(), '\n')
	}
	if asked != "" {
		if err := a.ask(asked); err != nil {
			a.status, a.body = http.StatusBadRequest, []byte(AnswerHeader+": "+err.Error()+"\n")
		}
	}
	if f.status != 0 {
		a.status = f.status
	}
	return a
}

func (e Echo) json() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

// limits of what may be asked for, so that no request can hold an origin for long.
const (
	maxBytes = 64 << 20
	maxTimes = 100_000
	maxWait  = 5 * time.Minute
)

// ask changes the answer to what is asked.
func (a *answer) ask(asked string) error {
	values, err := url.ParseQuery(asked)
	if err != nil {
		return err
	}
	for key, all := range values {
		for _, value := range all {
			if err := a.set(key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *answer) set(key, value string) error {
	var err error
	switch key {
	case "status":
		a.status, err = number(value, 200, 599)
	case "bytes":
		var n int
		n, err = number(value, 0, maxBytes)
		a.body = bytes.Repeat([]byte{'x'}, n)
	case "times":
		a.times, err = number(value, 1, maxTimes)
	case "delay":
		a.delay, err = duration(value)
	case "every":
		a.every, err = duration(value)
	case "close":
		a.close = true
	case "header":
		name, v, ok := strings.Cut(value, ":")
		if !ok {
			return fmt.Errorf("header %q is not Name:value", value)
		}
		a.header = append(a.header, [2]string{name, strings.TrimSpace(v)})
	default:
		return fmt.Errorf("no such key: %q", key)
	}
	return err
}

func number(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return least, fmt.Errorf("%q is not a number from %d to %d", s, least, most)
	}
	return n, nil
}

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxWait {
		return 0, fmt.Errorf("%q is not a duration up to %v", s, maxWait)
	}
	return d, nil
}

// pause waits; it returns false if the origin ends meanwhile.
func pause(d time.Duration, o *Origin) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-o.ending:
		return false
	}
}

// bodyFacts is what is kept of a body.
type bodyFacts struct {
	bytes int64
	sum   string
}

// readBody reads a body to its end.
func readBody(r io.Reader) (bodyFacts, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, r)
	if err != nil || n == 0 {
		return bodyFacts{bytes: n}, err
	}
	return bodyFacts{bytes: n, sum: hex.EncodeToString(hash.Sum(nil))}, nil
}

// serviceOf is the host in lower case, without port and trailing dot.
func serviceOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// sortedPairs lists headers in lower case, by name, the values of one in their order.
func sortedPairs(h http.Header) [][2]string {
	var out [][2]string
	for name, values := range h {
		for _, v := range values {
			out = append(out, [2]string{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}
