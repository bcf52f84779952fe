package comparator

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// item is JSON of about 2 kB.
func item() []byte {
	var b strings.Builder
	b.WriteString(`{"items":[`)
	for i := range 20 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"article number %d","price":{"amount":%d.99,"currency":"EUR"},"tags":["a","b"]}`, i, i, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// BenchmarkPair asks and compares pairs over loopback: intake, both legs by HTTP, judging and counting. The time holds all that the origins and
// the other side of the intake take in the same process.
func BenchmarkPair(b *testing.B) {
	body := item()
	origin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(body)
	})
	for name, contentType := range map[string]string{"http1": "application/json", "http2": "application/grpc"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, origin, origin, Limits{Spread: time.Minute, PerProxy: 1000, InFlight: 1000})
			w.proxy.Config.Handler = w.proxy.with(origin)
			doc := document()
			doc.Duration = durationpb.New(time.Hour)
			w.run(doc, func(o *crossfadev1.RunOrder) { o.MaxRps = 1e9 })
			const senders = 32
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					for i := s; i < b.N; i += senders {
						r := w.copyOf("GET", "/orders/17", "")
						r.Header.Set("content-type", contentType)
						w.send(r)
					}
				})
			}
			all.Wait()
			w.await("for the pairs", func() bool { return mirrored(w.report()) >= uint64(b.N) })
			b.StopTimer()
			r := w.report()
			b.ReportMetric(float64(r.Compared)/b.Elapsed().Seconds(), "pairs/s")
			if r.Compared < uint64(b.N)*9/10 {
				b.Logf("of %d: %v", b.N, r.Dropped)
			}
		})
	}
}
