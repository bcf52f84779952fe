package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// slowRollout moves orders in steps that a look or two are enough for.
func slowRollout() *crossfadev1.Rollout {
	step := func(weight int32) *crossfadev1.RolloutStep {
		return &crossfadev1.RolloutStep{Weight: weight, Bake: durationpb.New(3 * time.Second), MinRequests: proto.Int64(0)}
	}
	return &crossfadev1.Rollout{ApiVersion: "crossfade/v1", Kind: "Rollout", Name: "r1", Service: "orders", To: "eks", Steps: []*crossfadev1.RolloutStep{step(1000), step(5000), step(10_000)}}
}

// TestARolloutOfABackupBeginsPaused: it was on its way when the backup was made, and was taken back after that. Nothing moves traffic again until
// somebody decides; with a real Envoy, which reports what it does.
func TestARolloutOfABackupBeginsPaused(t *testing.T) {
	s := startStack(t)
	ctx, ecs, eks := t.Context(), startOrigin(t, "ecs"), startOrigin(t, "eks")
	if _, err := s.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders(ecs.Addr(), eks.Addr())}}); err != nil {
		t.Fatal(err)
	}
	proxy, err := s.AddProxy(ctx, "default", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	request(t, proxy.Host)
	if _, err := s.API.StartRollout(ctx, &crossfadev1.StartRolloutRequest{Rollout: slowRollout(), Options: &crossfadev1.ChangeOptions{Force: true}}); err != nil {
		t.Fatal(err)
	}
	rollout := func() *crossfadev1.RolloutStatus {
		got, err := s.API.GetRollout(ctx, &crossfadev1.GetRolloutRequest{Name: "r1"})
		if err != nil {
			return nil
		}
		return got.GetStatus()
	}
	within(t, func() error {
		if st := rollout(); st.GetState() != "Baking" {
			return errState(st.GetState())
		}
		return nil
	})
	p := &process{t: t, ready: ready{API: s.Server.API}}
	from, _ := p.backup()
	if _, err := s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders"}); err != nil {
		t.Fatal(err)
	}
	s.KillServer()
	data := filepath.Join(s.Dir, "data")
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if r := command(t, nil, "restore", "--from", from, "--data-dir", data); r.runs() != exitOK {
		t.Fatalf("%s", r.stderr)
	}
	if err := s.RestartServer(ctx); err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		request(t, proxy.Host) // so that the proxy has something to report, and the rollout could go on
		if st := rollout(); st.GetState() != "Paused" || !strings.Contains(st.GetReason(), "xds-server restore") {
			return errState(st.GetState() + " " + st.GetReason())
		}
		got, err := s.API.ListProxies(ctx, &crossfadev1.ListProxiesRequest{})
		if err != nil || len(got.GetItems()) != 1 || got.GetItems()[0].GetState() != "held" {
			return errState("no proxy that is held")
		}
		if _, err := os.Lstat(filepath.Join(data, restoredFile)); err == nil {
			return errState("a mark that is still there")
		}
		return nil
	})
	before, until := eks.Total(), time.Now().Add(5*time.Second) // longer than a step of the rollout
	within(t, func() error {
		request(t, proxy.Host)
		if time.Now().Before(until) {
			return errState("not over")
		}
		return nil
	})
	if n := eks.Total() - before; n != 0 {
		t.Errorf("%d requests went to the origin that was rolled back", n)
	}
	if st := rollout().GetState(); st != "Paused" {
		t.Errorf("the rollout is %s by itself", st)
	}
	if _, err := s.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders"}); err != nil { // somebody decides
		t.Fatal(err)
	}
	within(t, func() error {
		got, err := s.API.ListProxies(ctx, &crossfadev1.ListProxiesRequest{})
		if err != nil || len(got.GetItems()) != 1 || got.GetItems()[0].GetState() != "ok" {
			return errState("a proxy that is held")
		}
		return nil
	})
}

// errState is a state that is not the one waited for.
type errState string

func (e errState) Error() string { return "there is " + string(e) }
