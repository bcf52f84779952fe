package truth

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// Origin is one of the two. Its methods may be called from several goroutines.
type Origin struct {
	world       *shadowtest.World
	manner      Manner
	seed        uint64
	isCandidate bool
	address     string
	server      *http.Server
	reflection  *grpc.Server
	done        chan struct{}

	mu  sync.Mutex
	log Log
}

// Log is what has arrived at an origin. The same request counts as often as it arrived.
type Log struct {
	Live     uint64            // requests without a mark
	Shadow   map[string]uint64 // with one, by x-shadow
	Leaked   uint64            // of those, with credentials
	Unequal  uint64            // of those, with a condition that makes answers depend on what the client has: If-None-Match and the like
	Asked    map[string]uint64 // of those, by endpoint: the path up to its id
	Describe uint64            // questions for descriptors, which are in none of the above
}

// The bounds of an origin.
const (
	maxKeys = 256     // of a log, each map; what comes after is "(other)"
	maxBody = 1 << 20 // of a request, in bytes
)

func (t *Truth) start(name string) (*Origin, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		return nil, err
	}
	o := &Origin{
		world: t.world, manner: t.config.Manner, seed: t.config.Seed, isCandidate: name == "candidate", address: l.Addr().String(), done: make(chan struct{}),
		reflection: newReflection(), log: Log{Shadow: map[string]uint64{}, Asked: map[string]uint64{}},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	o.server = &http.Server{
		Handler: o, Protocols: protocols,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // resets on purpose are no news
	}
	go func() {
		defer close(o.done)
		_ = o.server.Serve(l) // ends with http.ErrServerClosed
	}()
	return o, nil
}

func (o *Origin) close() {
	_ = o.server.Close()
	<-o.done
	o.reflection.Stop()
}

// Addr is the address, HOST:PORT.
func (o *Origin) Addr() string { return o.address }

// Log returns what has arrived so far.
func (o *Origin) Log() Log {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.log
	out.Shadow, out.Asked = maps.Clone(out.Shadow), maps.Clone(out.Asked)
	return out
}

// ServeHTTP answers as the world says.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, reflectionPrefix) {
		o.note(func(l *Log) { l.Describe++ })
		o.reflection.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		panic(http.ErrAbortHandler) // it did not arrive
	}
	q := asked(r, body)
	nth := o.arrived(r, q)
	if reply, ok := o.manner.reply(r, nth); ok {
		write(w, r, q, reply)
		return
	}
	write(w, r, q, o.world.Answer(rand.New(rand.NewPCG(o.seed, nth*2+side(o.isCandidate))), q, o.isCandidate))
}

func side(candidate bool) uint64 {
	if candidate {
		return 1
	}
	return 0
}

func (o *Origin) note(change func(*Log)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.log)
}

// arrived notes a request and returns which one it is, from 1.
func (o *Origin) arrived(r *http.Request, q shadowtest.Request) (nth uint64) {
	mark := r.Header.Get("x-shadow")
	o.note(func(l *Log) {
		if mark == "" {
			l.Live++
		} else {
			count(l.Shadow, mark)
			count(l.Asked, strings.TrimRight(q.Path, "0123456789"))
			if r.Header.Get("authorization") != "" || r.Header.Get("cookie") != "" {
				l.Leaked++
			}
			if r.Header.Get("if-none-match") != "" || r.Header.Get("if-modified-since") != "" {
				l.Unequal++
			}
		}
		nth = l.Live
		for _, n := range l.Shadow {
			nth += n
		}
	})
	return nth
}

// count adds one, within bounds.
func count(m map[string]uint64, key string) {
	if _, ok := m[key]; !ok && len(m) >= maxKeys {
		key = "(other)"
	}
	m[key]++
}
