package exact

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/origin"
)

func start(t *testing.T) *origin.Origin {
	t.Helper()
	o, err := origin.Start(origin.Config{Name: "ecs", Keep: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestRightAnswersAreRight(t *testing.T) {
	o := start(t)
	for _, p := range []Protocol{HTTP1, HTTP2, GRPC} {
		c := New(p, o.Addr(), "orders.test")
		defer c.Close()
		for _, bytes := range []int{0, 16, 64 << 10, 1 << 20, 3 << 20} {
			for _, a := range []Ask{{Bytes: bytes, Origin: "ecs"}, {Bytes: bytes, Upload: true}, {Bytes: bytes, Stream: true, Origin: "ecs"}} {
				if err := c.Ask(t.Context(), a); err != nil {
					t.Errorf("%s: %+v: %v", p, a, err)
				}
			}
		}
	}
}

// TestFaultsAreTold plants what can go wrong.
func TestFaultsAreTold(t *testing.T) {
	answer := func(nonce bool, body string, short int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("x-origin", "ecs")
			if _, n, _ := strings.Cut(r.Header.Get(origin.AnswerHeader), "x-nonce:"); nonce {
				w.Header().Set("x-nonce", n)
			}
			if short > 0 {
				w.Header().Set("content-length", "1000")
			}
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		ask     Ask
		want    Kind
	}{
		"status":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, Ask{}, Failed},
		"another origin": {answer(true, "", 0), Ask{Origin: "eks"}, Wrong},
		"another answer": {answer(false, "", 0), Ask{}, Wrong},
		"too short":      {answer(true, "xxx", 0), Ask{Bytes: 4}, Truncated},
		"too long":       {answer(true, "xxxxx", 0), Ask{Bytes: 4}, Wrong},
		"other bytes":    {answer(true, "xxyx", 0), Ask{Bytes: 4}, Wrong},
		"cut":            {answer(true, "xxx", 1), Ask{Bytes: 1000}, Truncated},
		"upload cut":     {answer(true, `{"bodyBytes": 3}`, 0), Ask{Bytes: 4, Upload: true}, Truncated},
		"other upload":   {answer(true, `{"bodyBytes": 4, "bodySha256": "00"}`, 0), Ask{Bytes: 4, Upload: true}, Wrong},
	} {
		server := httptest.NewServer(c.handler)
		client := New(HTTP1, server.Listener.Addr().String(), "orders.test")
		err := client.Ask(t.Context(), c.ask)
		if f := (*Fault)(nil); !errors.As(err, &f) || f.Kind != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		client.Close()
		server.Close()
	}
}

// TestNothingIsRetried: a connection that is closed without an answer is a failure, for any method.
func TestNothingIsRetried(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan int, 1)
	go func() {
		n := 0
		for {
			c, err := l.Accept()
			if err != nil {
				accepted <- n
				return
			}
			n++
			_, _ = c.Read(make([]byte, 1000))
			_ = c.Close()
		}
	}()
	c := New(HTTP1, l.Addr().String(), "orders.test")
	defer c.Close()
	if err := c.Ask(t.Context(), Ask{Bytes: 4}); err == nil {
		t.Error("no error")
	}
	_ = l.Close()
	if n := <-accepted; n != 1 {
		t.Errorf("%d connections for one request", n)
	}
}

func TestLoadCountsEveryRequest(t *testing.T) {
	o := start(t)
	var streams []Stream
	for _, p := range []Protocol{HTTP1, HTTP2, GRPC} {
		streams = append(streams, Stream{Protocol: p, Target: o.Addr(), Host: "orders.test", Ask: Ask{Bytes: 16, Origin: "ecs"}, Every: time.Millisecond, Timeout: 10 * time.Second})
	}
	bad := streams[0]
	bad.Origin = "eks"
	l := Start(t.Context(), append(streams, bad))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := o.AwaitTotal(ctx, 400); err != nil {
		t.Error(err)
	}
	sum := l.Stop()
	if sum.Done != o.Total() || sum.Bad() == 0 || sum.Bad() != sum.Faults[Wrong] || sum.Bad() >= sum.Done || sum.Longest == 0 {
		t.Errorf("%d arrived: %v", o.Total(), sum)
	}
	if text := sum.String(); !strings.Contains(text, `http1 answer of 16 wrong: "ecs" answered, not "eks"`) {
		t.Error(text)
	}
}

// TestLongUploadsHaveNoCopies: downloads of that size have some.
func TestLongUploadsHaveNoCopies(t *testing.T) {
	l := Load{sum: Sum{Faults: map[Kind]uint64{}, Reasons: map[string]uint64{}}}
	for _, a := range []Ask{{Bytes: 16, Upload: true}, {Bytes: maxCopied, Upload: true}, {Bytes: 1 << 20}, {Bytes: 1 << 20, Upload: true}} {
		l.note(Stream{Ask: a}, nil, time.Second)
	}
	if sum := l.Sum(); sum.Done != 4 || sum.Copied() != 3 {
		t.Errorf("%d of %d have copies", sum.Copied(), sum.Done)
	}
}
