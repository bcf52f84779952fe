package comparator

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// place is where a proxy is asked. Whoever listens there now is that proxy only if it says so: another process may have got the address, and
// two proxies may share one. So each connection carries a question that no origin hears, before anything of a copy goes over it.
type place struct {
	proxy   string // node.id
	address string // "IP:PORT"
}

// host names a place in URLs, so that connections of places are kept apart although their addresses are the same.
func (p place) host() string {
	return hex.EncodeToString([]byte(p.proxy)) + "." + hex.EncodeToString([]byte(p.address))
}

// placeOf undoes [place.host], also with a port.
func placeOf(host string) (place, error) {
	host, _, _ = strings.Cut(host, ":")
	proxy, address, _ := strings.Cut(host, ".")
	p, err1 := hex.DecodeString(proxy)
	a, err2 := hex.DecodeString(address)
	return place{string(p), string(a)}, errors.Join(err1, err2)
}

// errStranger says that what answers at a place is not the proxy.
var errStranger = errors.New("what answers is not the proxy")

// dial makes a connection to a place that has proven itself.
func (t *transport) dial(ctx context.Context, _, host string) (net.Conn, error) {
	p, err := placeOf(host)
	if err != nil {
		return nil, err
	}
	conn, err := t.connect(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := prove(conn, p.proxy); err != nil {
		conn.Close()
		t.strange(p)
		return nil, err
	}
	return conn, nil
}

// connect makes a connection that nothing of a copy may go over yet.
func (t *transport) connect(ctx context.Context, p place) (net.Conn, error) {
	t.mu.Lock()
	last, ok := t.strangers[p]
	t.mu.Unlock()
	if ok && time.Since(last) < strangerPause {
		return nil, errStranger
	}
	conn, err := (&net.Dialer{Timeout: proofTime}).DialContext(ctx, "tcp", p.address)
	if err != nil || t.secure == nil {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	encrypted, err := t.secure.Client(ctx, conn)
	if err != nil {
		conn.Close()
		t.said.Do(func() {
			t.log.Warn("what answers at the experiment address of a proxy is not believed: nobody is asked through it", slog.String("proxy", p.proxy), slog.String("address", p.address), slog.Any("error", err))
		})
		return nil, err
	}
	return encrypted, nil
}

// strange notes that a place is not what it should be, so that whoever is there is left alone for a while.
func (t *transport) strange(p place) {
	t.mu.Lock()
	if len(t.strangers) >= maxStrangers {
		clear(t.strangers)
	}
	t.strangers[p] = time.Now()
	t.mu.Unlock()
	t.said.Do(func() {
		t.log.Warn("what answers at the experiment address of a proxy is not that proxy: nobody is asked through it", slog.String("proxy", p.proxy), slog.String("address", p.address))
	})
}

// prove asks over a new connection of HTTP/1.1 for a cluster that nobody has, which the experiment listener answers by itself.
func prove(conn net.Conn, proxy string) error {
	if err := conn.SetDeadline(time.Now().Add(proofTime)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nhost: comparator\r\n"+policy.HeaderTarget+": "+policy.NoShadowCluster+"\r\n\r\n"); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(conn, maxHeaderBytes))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return errStranger // the error may quote what came
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.Close || r.Buffered() > 0 || !isProof(answer.Header, proxy) {
		return errStranger
	}
	return conn.SetDeadline(time.Time{})
}

// isProof says whether an answer is a proxy's own, of its experiment listener.
func isProof(h http.Header, proxy string) bool {
	return isVia(h, proxy) && first(h[failedHeader]) != ""
}

// isVia says whether an answer came through the experiment listener of a proxy. Origins cannot set the header.
func isVia(h http.Header, proxy string) bool {
	return len(h[viaHeader]) == 1 && h[viaHeader][0] == proxy
}
