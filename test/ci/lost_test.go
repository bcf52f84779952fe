package ci

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/loopback"
)

// relay is a way to the server that can be cut.
type relay struct {
	listener net.Listener
	to       string
	serving  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool
	total int // connections so far
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, to: to, open: map[net.Conn]bool{}}
	r.serving.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.cut()
		r.serving.Wait()
	})
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			in.Close()
			continue
		}
		r.mu.Lock()
		r.open[in], r.open[out] = true, true
		r.total++
		r.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			r.serving.Go(func() {
				_, _ = io.Copy(pair[1], pair[0]) // an end is an end, however it came
				r.forget(in, out)
			})
		}
	}
}

func (r *relay) forget(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(r.open, c)
	}
}

// cut drops every connection, without a word to either side.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.Close()
	}
}

func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// TestALostConnectionIsMadeAgainAndTheRunIsTheSame: the job hears the verdict of the rollout that it started.
func TestALostConnectionIsMadeAgainAndTheRunIsTheSame(t *testing.T) {
	w := newWorld(t)
	way := newRelay(t, w.Server.API)
	j := jobs(t, way.address())["github canary"]
	j.env["CANARY_BAKE"] = bake.String()
	p := j.start(t, workspace(t))
	p.says("Baking")
	run := w.rollout("orders-canary").GetRun()
	before := way.connections()
	way.cut()
	w.await("another connection", func() bool { return way.connections() > before })
	p.ends(0)
	if again := w.rollout("orders-canary").GetRun(); again != run {
		t.Errorf("run %s at the end, want %s", again, run)
	}
	w.ended("orders-canary", "Completed", 1000)
}

// TestAServerThatIsRestartedGoesOnWithTheRun: the job waits on.
func TestAServerThatIsRestartedGoesOnWithTheRun(t *testing.T) {
	w := newWorld(t)
	j := jobs(t, w.Server.API)["github canary"]
	j.env["CANARY_BAKE"] = bake.String()
	p := j.start(t, workspace(t))
	p.says("Baking")
	run := w.rollout("orders-canary").GetRun()
	w.KillServer()
	if err := w.RestartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.ends(0)
	if again := w.rollout("orders-canary").GetRun(); again != run {
		t.Errorf("run %s at the end, want %s", again, run)
	}
	w.ended("orders-canary", "Completed", 1000)
}

// TestAJobThatIsKilledIsTakenBackAfterItsLease: nobody waits for the end, so there is none but the beginning.
func TestAJobThatIsKilledIsTakenBackAfterItsLease(t *testing.T) {
	for _, system := range []string{"github", "gitlab"} {
		t.Run(system, func(t *testing.T) {
			w := newWorld(t)
			j := jobs(t, w.Server.API)[system+" canary"]
			j.env["CANARY_BAKE"], j.env["CANARY_LEASE"] = "5m", "5s"
			p := j.start(t, workspace(t))
			p.says("Baking")
			p.signal(syscall.SIGKILL)
			p.ends(-1)
			w.await("the end", func() bool { return w.rollout("orders-canary").GetState() == "Aborted" })
			w.ended("orders-canary", "Aborted", 0)
		})
	}
}
