package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
)

// ended is what a way of ending returned.
func ended(end func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- end() }()
	return done
}

// slow sends a request that takes until the returned channel says what became of it. The origin has it when slow returns.
func slow(t *testing.T, o *Origin, c *http.Client, d time.Duration) <-chan error {
	t.Helper()
	before := o.Total()
	done := ended(func() error {
		resp, err := c.Do(request(t, o, "POST", "/slow", "body", "delay="+d.String()))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err := o.AwaitTotal(t.Context(), before+1); err != nil {
		t.Fatal(err)
	}
	return done
}

func each(t *testing.T, test func(t *testing.T, h2 bool)) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2=%v", h2), func(t *testing.T) { test(t, h2) })
	}
}

// TestDrainServesOnAndAsksToLeave: during the lame-duck time known and new clients are answered and asked to leave; afterwards the port
// refuses.
func TestDrainServesOnAndAsksToLeave(t *testing.T) {
	each(t, func(t *testing.T, h2 bool) {
		o := start(t, Config{Plain: true})
		known := client(t, h2)
		if resp, _ := do(t, known, request(t, o, "GET", "/", "", "")); resp.Close {
			t.Error("asked to leave before the end")
		}
		gone := ended(func() error { return o.Drain(t.Context(), time.Second) })
		await(t, "the origin to be leaving", o.leaving.Load)
		for name, c := range map[string]*http.Client{"known": known, "new": client(t, h2)} {
			resp, body := do(t, c, request(t, o, "POST", "/", "x", ""))
			if resp.StatusCode != http.StatusOK || body != "ecs\n" {
				t.Errorf("a %s client: %s %q", name, resp.Status, body)
			}
			if !h2 && !resp.Close {
				t.Errorf("a %s client was not asked to leave", name)
			}
		}
		// HTTP/1.1 connections end with the answer, HTTP/2 ones a second after their GOAWAY.
		await(t, "the connections to be left", func() bool { return o.Connections() == 0 })
		if err := <-gone; err != nil {
			t.Error(err)
		}
		if err := dial(o, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("afterwards a connection meets %v", err)
		}
		if o.Total() != 3 || o.Answered() != 3 {
			t.Errorf("%d requests, %d answered, want 3", o.Total(), o.Answered())
		}
	})
}

// TestShutdownFinishesWhatIsInFlight: nothing is accepted, idle connections end at once, a request in flight is answered.
func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	each(t, func(t *testing.T, h2 bool) {
		o := start(t, Config{Plain: true})
		do(t, client(t, h2), request(t, o, "GET", "/", "", "")) // stays open, idle
		answered := slow(t, o, client(t, h2), 700*time.Millisecond)
		gone := ended(func() error { return o.Shutdown(t.Context()) })
		await(t, "only the one in flight to be left", func() bool { return o.Connections() == 1 })
		if err := dial(o, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new connection meets %v", err)
		}
		if err := <-answered; err != nil {
			t.Errorf("in flight: %v", err)
		}
		if err := <-gone; err != nil {
			t.Error(err)
		}
		if o.Total() != 2 || o.Answered() != 2 {
			t.Errorf("%d requests, %d answered, want 2", o.Total(), o.Answered())
		}
	})
}

// TestKilled: the end of the grace cuts what is in flight, and says so.
func TestKilled(t *testing.T) {
	each(t, func(t *testing.T, h2 bool) {
		o := start(t, Config{Plain: true})
		answered := slow(t, o, client(t, h2), time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := o.Drain(ctx, 50*time.Millisecond)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "killed with 1 requests in flight") {
			t.Errorf("got %v", err)
		}
		if <-answered == nil {
			t.Error("an answer after the kill")
		}
		if o.Total() != 1 || o.Answered() != 0 {
			t.Errorf("%d requests, %d answered", o.Total(), o.Answered())
		}
		o.Close() // once more
	})
}

// TestDrainingUnderLoad: what arrives is answered. What HTTP/2 clients send before they have read the GOAWAY is refused: it never arrives,
// and they may send it again, a POST too.
func TestDrainingUnderLoad(t *testing.T) {
	for name, protocol := range map[string]loadgen.Protocol{"HTTP/1.1": loadgen.HTTP1, "HTTP/2": loadgen.HTTP2} {
		t.Run(name, func(t *testing.T) {
			o := start(t, Config{Plain: true, Keep: -1})
			load, err := loadgen.Start(t.Context(), loadgen.Config{
				Target: o.Addr(), Protocol: protocol, Rate: 2000, Duration: time.Minute, Connections: 8, Make: loadgen.WithPosts(5, loadgen.Request{}, []byte("body")),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer load.Stop()
			if err := o.AwaitTotal(t.Context(), 500); err != nil {
				t.Fatal(err)
			}
			o.leaving.Store(true) // the lame-duck time, of no set length
			if err := o.AwaitTotal(t.Context(), o.Total()+500); err != nil {
				t.Fatal(err)
			}
			load.Stop()
			report := load.Wait()
			if protocol == loadgen.HTTP1 && report.Failed > 0 {
				t.Errorf("%d of %d failed: %v", report.Failed, report.Done, report.Failures)
			}
			if err := o.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if succeeded := report.Done - report.Failed; o.Total() != succeeded || o.Answered() != succeeded {
				t.Errorf("%d arrived, %d answered, %d answers: %v", o.Total(), o.Answered(), succeeded, report.Failures)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	o := start(t, Config{Plain: true})
	if _, ok := o.First("orders.test"); ok {
		t.Error("a first request before there was one")
	}
	c := client(t, false)
	do(t, c, request(t, o, "GET", "/", "", ""))
	last, _ := o.Last("orders.test")
	if first, ok := o.First("orders.test"); !ok || first != last {
		t.Errorf("first %v, last %v", first, last)
	}
	do(t, c, request(t, o, "GET", "/", "", ""))
	if first, _ := o.First("orders.test"); first != last {
		t.Errorf("first %v, was %v", first, last)
	}
}

// await waits for something that other goroutines do.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited too long for %s", what)
		}
	}
}
