package comparator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// leg is one request to an origin.
type leg struct {
	side    int
	reply   reply
	started time.Time   // when there was a connection to the proxy; zero if there was none
	wrote   atomic.Bool // it was sent
	dropped string      // why there is nothing to judge
}

// ask sends a copy on all legs at once, in random order, and waits for the answers. It says why the copy is dropped.
func (k *comparator) ask(c *copied, legs []*leg) (dropped string) {
	sides := [2]int{}
	for _, l := range legs {
		sides[l.side]++
	}
	if !k.transport.enter(c.at, sides[control], sides[candidate]) {
		return dropBusy
	}
	defer k.transport.leave(c.at, sides[control], sides[candidate])
	if !c.cost.grow(int64(len(legs) * replyCost)) {
		return dropBudget
	}
	ctx, cancel := context.WithTimeout(k.asking, k.limits.Timeout)
	defer cancel()
	requests := make([]*http.Request, len(legs))
	for i, l := range legs {
		requests[i] = c.request(ctx, l)
	}
	order := mathrand.Perm(len(legs))
	var others sync.WaitGroup
	for _, i := range order[1:] {
		others.Go(func() { k.one(c, requests[i], legs[i]) })
	}
	k.one(c, requests[order[0]], legs[order[0]])
	others.Wait()
	return k.together(c, legs)
}

// together says why a pair is dropped once all legs have ended, and tells the signals of the answers.
func (k *comparator) together(c *copied, legs []*leg) (dropped string) {
	now := time.Now()
	earliest, latest := legs[0].started, legs[0].started
	for _, l := range legs {
		if l.wrote.Load() {
			c.run.asked[l.side].Add(1)
		}
		if l.dropped == "" {
			c.run.observe(l.side, &l.reply.Answer, now)
		}
		if l.started.Before(earliest) {
			earliest = l.started
		}
		if l.started.After(latest) {
			latest = l.started
		}
	}
	for _, l := range legs {
		if l.dropped != "" {
			return l.dropped
		}
	}
	if latest.Sub(earliest) > k.limits.Spread {
		return dropLate
	}
	return ""
}

// marks are of the requests of one copy: the same on all legs.
type marks struct{ id, trace string }

func newMarks() marks {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return marks{h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32], "00-" + h[:32] + "-" + h[32:] + "-00"}
}

// mark adds what all legs of a copy have to its headers.
func (c *copied) mark() {
	m := newMarks()
	c.headers[shadowHeader] = []string{c.run.policy.Name} // whatever the client said of it
	c.headers["X-Request-Id"] = []string{m.id}
	c.headers["Traceparent"] = []string{m.trace}
	if name, value := c.run.testIdentity(); name != "" {
		c.headers.Set(name, value)
	}
}

// request is what one leg sends: to the proxy, which finds the origin by a header. It is sent once: without GetBody, what has a body is not sent
// again over another connection when one breaks.
func (c *copied) request(ctx context.Context, l *leg) *http.Request {
	h := maps.Clone(c.headers)
	h[targetHeader] = []string{c.run.targets[l.side]}
	r := &http.Request{Method: c.method, URL: c.url(), Host: c.host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	switch {
	case len(c.body) > 0:
		r.ContentLength, r.Body = int64(len(c.body)), io.NopCloser(bytes.NewReader(c.body))
	case !c.grpc:
		onceWithoutBody(r)
	}
	trace := &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { l.started = time.Now() },
		WroteHeaders: func() { l.wrote.Store(true) },
	}
	return r.WithContext(httptrace.WithClientTrace(ctx, trace))
}

// onceWithoutBody keeps net/http from sending a request without a body again, which it does with those that should change nothing. Nothing of
// what is sent changes by that, but the case of a name.
func onceWithoutBody(r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		r.Body = io.NopCloser(strings.NewReader("")) // which it looks into before it says of such a request that it has a body
	default:
		for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
			if v, ok := r.Header[name]; ok {
				delete(r.Header, name)
				r.Header[strings.ToLower(name)] = v
			}
		}
	}
}

// url keeps path and query as they are, byte for byte, where a URL can.
func (c *copied) url() *url.URL {
	if !strings.HasPrefix(c.uri, "//") {
		return &url.URL{Scheme: "http", Host: c.at.host(), Opaque: c.uri}
	}
	u := &url.URL{Scheme: "http", Host: c.at.host(), RawQuery: c.query, RawPath: c.path}
	u.Path, _ = url.PathUnescape(c.path)
	return u
}

// one asks on one leg.
func (k *comparator) one(c *copied, r *http.Request, l *leg) {
	answer, done, err := k.transport.send(c, r)
	defer done()
	if err != nil {
		k.unanswered(c, l, err)
		return
	}
	defer answer.Body.Close()
	if !isVia(answer.Header, c.at.proxy) {
		k.notAsked(c, l, "another answered there")
		return
	}
	failure, dropped := ownReply(answer.Header)
	switch dropped {
	case "":
	case dropProxy:
		k.notAsked(c, l, "it did not pass the request on: response flags "+first(answer.Header[failedHeader]))
		return
	default:
		l.dropped = dropped
		return
	}
	a := &l.reply.Answer
	a.Status, a.Headers, a.Failure = answer.StatusCode, answer.Header, failure
	if failure != "" {
		_, _ = drain(answer.Body)
		a.Duration = time.Since(l.started)
		return
	}
	for name := range a.Headers {
		if strings.HasPrefix(name, "X-Cf-") || strings.HasPrefix(name, "X-Envoy-") {
			delete(a.Headers, name)
		}
	}
	if !c.cost.grow(headerBytes(a.Headers)) {
		l.dropped = dropBudget
		return
	}
	k.body(c, l, answer)
	a.Trailers = answer.Trailer
	a.Duration = time.Since(l.started)
}

// unanswered sorts out why there was no answer. The proxy answers for origins that do not, with a status: what breaks before is the way to it.
func (k *comparator) unanswered(c *copied, l *leg, err error) {
	switch {
	case k.asking.Err() != nil:
		l.dropped = dropCanceled
	case !l.started.IsZero() && isTimeout(err):
		l.reply.Failure = shadow.Timeout
		l.reply.Duration = time.Since(l.started)
	default:
		k.notAsked(c, l, err.Error())
	}
}

// notAsked drops a copy, and says why, some of the time. Nothing of the request is in the words.
func (k *comparator) notAsked(c *copied, l *leg, why string) {
	l.dropped = dropProxy
	k.said.Do(func() {
		k.log.Warn("copies are dropped: a proxy cannot be asked", slog.String("proxy", c.at.proxy), slog.String("address", c.at.address), slog.String("why", why))
	})
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// body reads the answer's body up to the cap, and what is beyond for its length.
func (k *comparator) body(c *copied, l *leg, answer *http.Response) {
	a, most := &l.reply.Answer, c.run.policy.BodyCap
	l.reply.encoding = encodingOf(answer.Header)
	body, over, err := readUpTo(answer.Body, most, answer.ContentLength, c.cost, replyCost)
	a.Body, a.OverCap, a.Length = body, over, int64(len(body))
	if over {
		n, failed := io.Copy(io.Discard, io.LimitReader(answer.Body, maxDiscard))
		a.Length += n + 1 // one was read to know that there is more
		if err = failed; n == maxDiscard || isTimeout(failed) {
			a.Length, err = max(answer.ContentLength, -1), nil // an endless one
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, errBudget):
		l.dropped = dropBudget
	case k.asking.Err() != nil:
		l.dropped = dropCanceled
	case isTimeout(err):
		a.Failure = shadow.Timeout
	default:
		a.Failure = shadow.Truncated
	}
}
