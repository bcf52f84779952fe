package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
	"github.com/crossfade-proxy/crossfade/internal/poll"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// How much there is of everything.
const (
	services = 40
	proxies  = 20
	watchers = 10
)

// work is what happens to a control plane.
type work struct {
	*stack.Stack
	data    string
	r       *rand.Rand
	seed    uint64
	proxies [proxies]*visitor
	watches [watchers]*visitor
	counts  counts
}

// counts is what was done.
type counts struct {
	Changes, Rollbacks, Endpoints, Reconnects, Watches, Rollouts, Scrapes int
}

// visitor is somebody who comes and goes.
type visitor struct {
	end  context.CancelFunc
	gone chan struct{}
}

func (v *visitor) leave() {
	if v != nil {
		v.end()
		<-v.gone
	}
}

// run does the work of so many minutes in the time given, evenly.
func run(ctx context.Context, wall time.Duration, minutes int, log io.Writer) (*result, error) {
	dir, err := os.MkdirTemp("", "crossfade-soak-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary, err := stack.Build(ctx, dir, "xds-server")
	if err != nil {
		return nil, err
	}
	w := &work{data: filepath.Join(dir, "data"), seed: rand.Uint64()}
	w.r = rand.New(rand.NewPCG(w.seed, 0))
	fmt.Fprintf(log, "seed %d: the work of %d minutes in %v\n", w.seed, minutes, wall)
	if w.Stack, err = stack.Start(ctx, stack.Config{Binary: binary, Dir: dir, Data: w.data, Env: []string{"CROSSFADE_PROFILING=true"}}); err != nil {
		return nil, err
	}
	defer w.Close()
	defer w.everybodyLeaves()
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	res := &result{Seed: w.seed, Minutes: minutes, Wall: wall.String()}
	began := time.Now()
	every := max(1, minutes/96)
	for minute := range minutes {
		if err := w.minute(ctx, minute); err != nil {
			return nil, fmt.Errorf("minute %d: %w", minute, err)
		}
		if minute%every == every-1 {
			s, err := w.sample(ctx, minute+1)
			if err != nil {
				return nil, err
			}
			res.Samples = append(res.Samples, s)
			if len(res.Samples)%8 == 1 {
				fmt.Fprintf(log, "%v\n", s)
			}
		}
		due := began.Add(wall * time.Duration(minute+1) / time.Duration(minutes))
		if err := poll.Pause(ctx, time.Until(due)); err != nil {
			return nil, err
		}
	}
	res.Took, res.Counts = time.Since(began).Round(time.Second).String(), w.counts
	return res, nil
}

func name(i int) string { return fmt.Sprintf("s%02d", i) }

// service is a document of a service with as many endpoints as a draw gives.
func (w *work) service(i int) *crossfadev1.Document {
	static := func(origin string, host int) *crossfadev1.Origin {
		addresses := make([]string, 1+w.r.IntN(30))
		for j := range addresses {
			addresses[j] = fmt.Sprintf("127.0.%d.%d:8080", host, 2+j)
		}
		return &crossfadev1.Origin{Name: origin, Protocol: "http1", Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: addresses}}}
	}
	return &crossfadev1.Document{Object: &crossfadev1.Document_Service{Service: &crossfadev1.Service{
		ApiVersion: "crossfade/v1", Kind: "Service", Name: name(i), Hosts: []string{name(i) + ".test"}, Primary: "ecs",
		Listener: &crossfadev1.Listener{Port: 10000}, Origins: []*crossfadev1.Origin{static("ecs", i), static("eks", 100+i)},
	}}}
}

// begin applies the services and has everybody come.
func (w *work) begin(ctx context.Context) error {
	docs := make([]*crossfadev1.Document, services)
	for i := range docs {
		docs[i] = w.service(i)
	}
	if _, err := w.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: docs}); err != nil {
		return err
	}
	for i := range w.proxies {
		if err := w.proxyComes(ctx, i); err != nil {
			return err
		}
	}
	for i := range w.watches {
		if err := w.watcherComes(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// proxyComes replaces a proxy: by the same one with all that it had forgotten, as a task that is replaced.
func (w *work) proxyComes(ctx context.Context, i int) error {
	w.proxies[i].leave()
	conn, err := grpc.NewClient("passthrough:///"+w.Server.XDS, append(deltaclient.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return err
	}
	c := deltaclient.New(deltaclient.Config{ID: fmt.Sprintf("proxy-%d", i), Fleet: "default", ListenAddress: "127.0.0.1", Layers: layers})
	w.proxies[i] = visit(ctx, conn, func(ctx context.Context) { _ = c.Run(ctx, conn) })
	w.counts.Reconnects++
	return nil
}

// watcherComes replaces somebody who watches.
func (w *work) watcherComes(ctx context.Context, i int) error {
	w.watches[i].leave()
	conn, err := grpc.NewClient("passthrough:///"+w.Server.API, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	w.watches[i] = visit(ctx, conn, func(ctx context.Context) {
		s, err := crossfadev1.NewCrossfadeServiceClient(conn).Watch(ctx, &crossfadev1.WatchRequest{})
		for err == nil {
			_, err = s.Recv()
		}
	})
	w.counts.Watches++
	return nil
}

func visit(ctx context.Context, conn io.Closer, stay func(context.Context)) *visitor {
	ctx, cancel := context.WithCancel(ctx)
	v := &visitor{cancel, make(chan struct{})}
	go func() {
		defer close(v.gone)
		stay(ctx)
		_ = conn.Close()
	}()
	return v
}

func (w *work) everybodyLeaves() {
	for _, v := range append(w.proxies[:], w.watches[:]...) {
		v.leave()
	}
}

// minute is the work of one.
func (w *work) minute(ctx context.Context, n int) error {
	none := func() *crossfadev1.ChangeOptions {
		return &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, IdempotencyKey: fmt.Sprintf("%d-%d", w.seed, w.r.Uint64()), Reason: fmt.Sprint("minute ", n)}
	}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	for range 2 {
		_, err := w.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: name(w.r.IntN(services)), Weights: map[string]int32{"eks": int32(w.r.IntN(10_000))}, Options: none()})
		w.counts.Changes++
		keep(err)
	}
	_, err := w.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{w.service(w.r.IntN(services))}, Options: none()})
	w.counts.Endpoints++
	keep(err)
	if n%5 == 0 {
		_, err := w.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: name(w.r.IntN(services)), Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED}})
		w.counts.Rollbacks++
		keep(err)
	}
	if n%30 == 0 {
		keep(w.rollout(ctx, n))
	}
	keep(w.proxyComes(ctx, w.r.IntN(proxies)))
	keep(w.watcherComes(ctx, w.r.IntN(watchers)))
	_, err = w.get(ctx, "/metrics")
	w.counts.Scrapes++
	keep(err)
	return errors.Join(errs...)
}

func rolloutName(turn int) string { return fmt.Sprintf("r%d", turn%6) }

// rollout starts one, and aborts the one before. There are several names, for who is on the way back stays so until the proxies are heard of.
func (w *work) rollout(ctx context.Context, n int) error {
	turn := n / 30
	if turn > 0 {
		_, _ = w.API.ActOnRollout(ctx, &crossfadev1.ActOnRolloutRequest{Name: rolloutName(turn - 1), Action: "abort"}) // a change of its service may have ended it
	}
	service := name(w.r.IntN(services))
	if _, err := w.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: service, Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_ACKED}}); err != nil {
		return err
	}
	_, err := w.API.StartRollout(ctx, &crossfadev1.StartRolloutRequest{
		Rollout: rolloutOf(rolloutName(turn), service), Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE, Force: true},
	})
	w.counts.Rollouts++
	return err
}
