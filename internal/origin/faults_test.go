package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestFaults: shares are exact, on both protocols, and end when they are taken back.
func TestFaults(t *testing.T) {
	o := start(t, Config{Plain: true})
	for _, h2 := range []bool{false, true} {
		c := client(t, h2)
		if err := o.SetFaults(Faults{ErrorShare: 0.3, Status: 502, Latency: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for range 100 {
			if resp, _ := do(t, c, request(t, o, "GET", "/", "", "")); resp.StatusCode == 502 && resp.Header.Get("x-origin") == "ecs" {
				failed++
			}
		}
		if failed != 30 {
			t.Errorf("h2=%v: %d of 100 failed, want 30", h2, failed)
		}
		if err := o.SetFaults(Faults{ResetShare: 1}); err != nil {
			t.Fatal(err)
		}
		if resp, err := c.Do(request(t, o, "POST", "/", "x", "")); err == nil {
			resp.Body.Close()
			t.Errorf("h2=%v: no reset, but %s", h2, resp.Status)
		}
		if err := o.SetFaults(Faults{}); err != nil {
			t.Fatal(err)
		}
		if resp, _ := do(t, c, request(t, o, "GET", "/", "", "")); resp.StatusCode != 200 {
			t.Errorf("h2=%v: still %s", h2, resp.Status)
		}
	}
	for _, bad := range []Faults{{ErrorShare: 1.1}, {ResetShare: -1}, {Status: 99}, {Latency: -1}} {
		if o.SetFaults(bad) == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}

func dial(o *Origin, patience time.Duration) error {
	c, err := net.DialTimeout("tcp4", o.Addr(), patience)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err = c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	return err
}

// TestStates walks through every state twice: what a new connection meets, and what becomes of an open one.
func TestStates(t *testing.T) {
	o := start(t, Config{Plain: true})
	for range 2 {
		for _, c := range []struct {
			state State
			fresh func(error) bool
		}{
			{Refusing, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
			{BlackHole, func(err error) bool { var n net.Error; return errors.As(err, &n) && n.Timeout() }},
			{Resetting, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) }},
		} {
			http1 := client(t, false)
			do(t, http1, request(t, o, "GET", "/", "", ""))
			if err := o.SetState(c.state); err != nil {
				t.Fatal(err)
			}
			if err := dial(o, 300*time.Millisecond); !c.fresh(err) {
				t.Errorf("%s: a new connection meets %v", c.state, err)
			}
			if c.state == BlackHole {
				checkFrozen(t, o, http1)
			} else if n := o.Connections(); n != 0 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				if err := awaitNoConnections(ctx, o); err != nil {
					t.Errorf("%s: %v", c.state, err)
				}
				cancel()
			}
			if err := o.SetState(Serving); err != nil {
				t.Fatal(err)
			}
			if err := dial(o, time.Second); err != nil {
				t.Errorf("serving again after %s: %v", c.state, err)
			}
		}
	}
}

// checkFrozen sends a request on an open connection: no answer, until the origin serves again.
func checkFrozen(t *testing.T, o *Origin, c *http.Client) {
	t.Helper()
	before := o.Total()
	answered := make(chan error, 1)
	go func() {
		resp, err := c.Do(request(t, o, "GET", "/", "", ""))
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	select {
	case err := <-answered:
		t.Errorf("a frozen origin answered: %v", err)
	case <-timer.C:
	}
	if o.Total() != before {
		t.Error("a frozen origin logged a request")
	}
	if err := o.SetState(Serving); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("thawed: %v", err)
	}
}

func awaitNoConnections(ctx context.Context, o *Origin) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for o.Connections() > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d connections are open", o.Connections())
		case <-tick.C:
		}
	}
	return nil
}
