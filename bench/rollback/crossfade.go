package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// crossfade is the system that is measured.
type crossfade struct{ *stack.Stack }

func (crossfade) name() string { return "crossfade" }

func (c crossfade) targets() (out []string) {
	for _, p := range c.Proxies {
		out = append(out, net.JoinHostPort(p.Host, "10000"))
	}
	return out
}

func (c crossfade) pids() (out []int) {
	for _, p := range c.Proxies {
		out = append(out, p.PID())
	}
	return out
}

func changeOptions(wait crossfadev1.Wait) *crossfadev1.ChangeOptions {
	return &crossfadev1.ChangeOptions{Wait: wait, Timeout: durationpb.New(patience)}
}

func (c crossfade) apply(ctx context.Context, wait crossfadev1.Wait, services ...*crossfadev1.Service) error {
	_, err := c.API.Apply(ctx, &crossfadev1.ApplyRequest{Documents: documents(services...), Options: changeOptions(wait)})
	return err
}

func (c crossfade) away(ctx context.Context) error {
	_, err := c.API.SetSplit(ctx, &crossfadev1.SetSplitRequest{
		Service: measured, Weights: map[string]int32{oldName: 10000}, Options: changeOptions(crossfadev1.Wait_WAIT_ACKED),
	})
	return err
}

func (c crossfade) back(ctx context.Context, proven bool) (answer, error) {
	wait := crossfadev1.Wait_WAIT_ACKED
	if proven {
		wait = crossfadev1.Wait_WAIT_PROVEN
	}
	resp, err := c.API.Rollback(ctx, &crossfadev1.RollbackRequest{Service: measured, Options: changeOptions(wait)})
	if err != nil {
		return answer{}, err
	}
	change := resp.GetChanges()[0]
	fleet := change.GetFleet()
	switch {
	case int(fleet.GetConnected()) != len(c.Proxies) || len(fleet.GetRefused()) > 0:
		return answer{}, fmt.Errorf("a proxy is gone, or refused: %v", fleet)
	case fleet.GetAcked() != fleet.GetConnected():
		return answer{}, gaveUp{fmt.Errorf("not every proxy acknowledged within %v: %v", patience, fleet)}
	}
	a := answer{acked: fleet.GetAckMs() / 1e3, unrecorded: !change.GetRecorded()}
	if proven {
		a.proof, a.state = change.GetProof().GetSinceMs()/1e3, change.GetProof().GetState()
	}
	return a, nil
}

// awaitReady waits for the first configuration of every proxy.
func (c crossfade) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, p := range c.Proxies {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}
