package protocols

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// slowReaders is how many clients at once do not read a large answer, by one connection to an origin of HTTP/2.
const slowReaders = 40

// TestSlowReadersHarmNoOther lets clients ask for large bodies and not read them. Others still get their answers, over the same connections
// to origins too, and the proxy holds little for those that do not read.
func TestSlowReadersHarmNoOther(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		w := newWorld(t, version, nil)
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				before := resident(t, w.Proxies[0].PID())
				p := &peer{world: w, address: w.proxied(), host: way.service + ".test"}
				slow, quick := p.httpClient(way.client2), p.httpClient(way.client2)
				defer quick.CloseIdleConnections()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for range slowReaders {
					req, err := p.request(ctx, "GET", "/download?bytes=67108864", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := slow.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					if _, err := io.CopyN(io.Discard, resp.Body, 1000); err != nil {
						t.Fatal(err)
					}
				}
				w.stalled()
				for i := range 50 {
					if err := answered(ctx, p, quick); err != nil {
						t.Fatalf("request %d beside %d that do not read: %v", i, slowReaders, err)
					}
				}
				after := resident(t, w.Proxies[0].PID())
				t.Logf("%d MB before, %d MB with %d clients that do not read", before, after, slowReaders)
				if after-before > mayGrow {
					t.Errorf("the proxy grew from %d MB to %d MB; at most %d MB more are in order", before, after, mayGrow)
				}
			})
		}
	})
}

// stalled waits until nothing more comes from the origins.
func (w *world) stalled() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	last, same := uint64(0), 0
	err := poll.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		stats, err := w.Proxies[0].Stats(ctx, `^cluster\.(one|two)/.*upstream_cx_rx_bytes_total$`)
		if err != nil {
			return err
		}
		sum := uint64(0)
		for _, n := range stats {
			sum += n
		}
		if same++; sum != last {
			last, same = sum, 0
		}
		if same < 5 {
			return fmt.Errorf("%d bytes have come", sum)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// answered makes a small request, which has a few seconds.
func answered(ctx context.Context, p *peer, c *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := p.request(ctx, "GET", "/download?bytes=10000", nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && n != 10_000 {
		err = fmt.Errorf("%d bytes", n)
	}
	return err
}
