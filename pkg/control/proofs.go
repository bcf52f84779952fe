package control

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
)

// proofs follow what the data plane shows of a change, by service and fleet.
type proofs struct {
	now      func() time.Time
	followed map[place]*followed
}

// place is where a proof is looked for.
type place struct{ service, fleet string }

func (p place) compare(q place) int {
	return cmp.Or(strings.Compare(p.service, q.service), strings.Compare(p.fleet, q.fleet))
}

type followed struct {
	proof *telemetry.Proof
	told  map[string]time.Time // acknowledgements that the proof knows
	kept  bool                 // pins were kept: nothing can be proven
}

// startProofs follows the services of a change that leave an origin altogether. Of a new service no origin has had a request: there
// is something to prove only if the caller asks for it.
func (c *Controller) startProofs(ch *change) *proofs {
	p := &proofs{now: c.now, followed: map[place]*followed{}}
	for _, e := range ch.edits {
		if e.service() == nil || e.since != "" || c.telemetry == nil {
			continue
		}
		for _, fleet := range policy.Fleets(e.service()) {
			isNew := !e.served(fleet) && ch.o.Wait != crossfadev1.Wait_WAIT_PROVEN
			if isNew || !slices.Contains(e.fleets, fleet) {
				continue
			}
			away, toward := awayFrom(policy.InFleet(e.service(), fleet), e.keptPins)
			if len(away) == 0 {
				continue
			}
			proof := c.telemetry.Follow(telemetry.Change{
				Fleet: fleet, Service: e.key.Name, Away: away, Toward: toward, Called: ch.called, KeepPins: e.keptPins,
			})
			p.followed[place{e.key.Name, fleet}] = &followed{proof: proof, told: map[string]time.Time{}, kept: e.keptPins}
		}
	}
	return p
}

// served says whether a fleet served the service before.
func (a *applied) served(fleet string) bool {
	s := a.before.GetService()
	return s != nil && slices.Contains(policy.Fleets(s), fleet)
}

// awayFrom returns the origins that should get nothing, by weights and pins, and the others. Kept pins are named in the proof instead.
func awayFrom(s *crossfadev1.Service, keptPins bool) (away, toward []string) {
	pinned := pinned(s)
	weights := policy.Weights(s)
	for _, o := range s.GetOrigins() {
		if weights[o.GetName()] == 0 && (keptPins || !pinned[o.GetName()]) {
			away = append(away, o.GetName())
		} else {
			toward = append(toward, o.GetName())
		}
	}
	return away, toward
}

// pinned are the origins that pins which are on send requests to.
func pinned(s *crossfadev1.Service) map[string]bool {
	out := map[string]bool{}
	for _, pin := range s.GetPins() {
		if pin.Enabled == nil || pin.GetEnabled() {
			out[pin.GetOrigin()] = true
		}
	}
	return out
}

func (p *proofs) close() {
	for _, f := range p.followed {
		f.proof.Close()
	}
}

// acked tells the proofs which proxies acknowledged since the last time.
func (p *proofs) acked(ch *change) {
	for at, f := range p.followed {
		for proxy, at := range ch.fleets[at.fleet].waiter.Acks() {
			if f.told[proxy] != at {
				f.told[proxy] = at
				f.proof.Acked(proxy, at)
			}
		}
	}
}

// lookAgain is how often a proof is looked at without news: time alone changes it too.
const lookAgain = 250 * time.Millisecond

// await waits until every proxy that acknowledged is proven or silent.
func (p *proofs) await(ctx context.Context, ch *change) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for at, f := range p.followed {
		for !f.settled(p.now()) {
			select {
			case <-f.proof.Changed():
			case <-tick.C:
				p.acked(ch)
			case <-ctx.Done():
				return &policy.Error{
					Kind: policy.TimedOut, Code: "not_proven", Field: "timeout", Value: at.service,
					Message: "the change stands and every connected proxy acknowledged it, but the data plane has not shown it yet: " + f.proof.State(p.now()).Reason,
					Next:    "`shadowctl fleet` shows who has it, and `shadowctl get services` where requests go",
				}
			}
		}
	}
	return nil
}

// settled says whether there is nothing more to wait for.
func (f *followed) settled(now time.Time) bool {
	if f.kept {
		return true
	}
	for _, p := range f.proof.State(now).PerProxy {
		if _, connected := f.told[p.Proxy]; connected && p.State != telemetry.Proven && p.State != telemetry.Silent {
			return false
		}
	}
	return true
}

// of describes the proof of a service in a fleet; nil if there is nothing to prove.
func (p *proofs) of(service, fleet string) *crossfadev1.Proof {
	if p == nil || p.followed[place{service, fleet}] == nil {
		return nil
	}
	st := p.followed[place{service, fleet}].proof.State(p.now())
	out := &crossfadev1.Proof{
		State: string(st.State), SinceMs: milliseconds(st.Since), ResolutionMs: milliseconds(st.Resolution), OpenStreams: st.OpenStreams, Reason: st.Reason,
	}
	lost := 0
	for _, x := range st.PerProxy {
		if !x.Connected {
			if lost++; lost > mostLost {
				continue
			}
		}
		out.PerProxy = append(out.PerProxy, &crossfadev1.ProxyProof{Proxy: x.Proxy, State: string(x.State), SinceMs: milliseconds(x.Since), Reason: x.Reason})
	}
	return out
}

func (c *Controller) overridden(fleet, proxy string) bool {
	return c.telemetry != nil && c.telemetry.Override(fleet, proxy)
}

// traffic returns the live figures of an origin, over fleets; nil where nobody reports.
func (c *Controller) traffic(fleets []string, service, origin string) *crossfadev1.OriginTraffic {
	if c.telemetry == nil {
		return nil
	}
	t := c.telemetry.TrafficOver(fleets, service, origin, c.now(), trafficWindow)
	if t.Reporting == 0 {
		return nil
	}
	out := &crossfadev1.OriginTraffic{Rps: t.RPS, ErrorRate: t.ErrorRate, Requests: int64(t.Requests), Window: durationpb.New(t.Window)}
	if t.Requests > 0 {
		p50, p99 := milliseconds(t.P50), milliseconds(t.P99)
		out.P50Ms, out.P99Ms = &p50, &p99
	}
	return out
}
