package experiment

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func withControl(doc *crossfadev1.Mirror, control string) *crossfadev1.Mirror {
	out := proto.CloneOf(doc)
	out.Control = control
	return out
}

// limitOf is how many copies per second an experiment may make: what its document says, else a tenth of what control gets live (in dark mode:
// of what the service gets), at least 1.
func limitOf(m *policy.Mirror, rps map[string]float64) float64 {
	if m.MaxRPS > 0 {
		return float64(m.MaxRPS)
	}
	live := rps[m.Control]
	if m.Mode == policy.Dark {
		live = total(rps)
	}
	return max(1, live/10)
}

func total(rps map[string]float64) float64 {
	sum := 0.0
	for _, origin := range slices.Sorted(maps.Keys(rps)) {
		sum += rps[origin]
	}
	return sum
}

// setLimits gives each run its limit. Where those of a fleet are more than all of them may be together, each gets its share of that.
func (d *Desk) setLimits() {
	sums := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(d.runs)) {
		r := d.runs[name]
		if !r.ordered() {
			continue
		}
		r.limit = limitOf(r.policy, r.rps)
		for _, fleet := range r.fleets {
			sums[fleet] += r.limit
		}
	}
	if d.c.MaxRPS <= 0 {
		return
	}
	for _, r := range d.runs {
		if !r.ordered() {
			continue
		}
		factor := 1.0
		for _, fleet := range r.fleets {
			factor = min(factor, d.c.MaxRPS/sums[fleet])
		}
		r.limit *= factor
	}
}

// orders are those for an instance, nil if another stream has taken its place. What they give it counts as given at once, what they take away
// only when they were sent.
func (d *Desk) orders(s *session) *crossfadev1.WorkResponse {
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[s.instance] != s {
		return nil
	}
	out := &crossfadev1.WorkResponse{Lease: durationpb.New(d.c.Lease), Sequence: s.acked}
	if s.version != d.version {
		s.version = d.version
		out.Proxies = &crossfadev1.ProxyAddresses{Addresses: maps.Clone(d.proxies)}
	}
	s.sending = map[*run]float64{}
	for _, name := range slices.Sorted(maps.Keys(d.runs)) {
		r := d.runs[name]
		s.sending[r] = 0
		if !r.ordered() {
			continue
		}
		p := d.join(r, s, now)
		asking := d.asking(r, s, now)
		share := d.share(r, s, asking, now)
		p.held, s.sending[r] = max(p.held, share), share
		order := &crossfadev1.RunOrder{Mirror: r.order, Key: r.key, MaxRps: share, Learning: r.stateAt(now) == stateLearning, Live: map[int32]int64{}}
		order.Instances, order.Index = int32(len(asking)), int32(slices.Index(asking, p))
		for class, n := range r.live {
			if n > 0 {
				order.Live[int32(class)] = int64(n)
			}
		}
		if id, ok := d.c.Identities[r.policy.Identity]; ok {
			order.IdentityHeader, order.IdentityValue = id.Header, id.Value
		}
		out.Runs = append(out.Runs, order)
	}
	return out
}

// asking are the instances that may be asking for a run, by name: the one of a session, and others but those that are connected and silent.
func (d *Desk) asking(r *run, s *session, now time.Time) []*part {
	return slices.DeleteFunc(r.sorted(), func(p *part) bool {
		if p.instance == s.instance {
			return false
		}
		other := d.sessions[p.instance]
		return !p.asks(now) || p.connected && (other == nil || d.silent(other, now))
	})
}

// share is how many copies per second an instance may take of a run: an equal share of the limit, but no more than the others leave.
func (d *Desk) share(r *run, s *session, asking []*part, now time.Time) float64 {
	if d.silent(s, now) {
		return 0
	}
	held := 0.0
	for _, p := range asking {
		if p.instance != s.instance {
			held += p.held
		}
	}
	return max(0, min(r.limit/float64(len(asking)), r.limit-held))
}

// sent notes that the last orders of an instance are on their way: from now on it follows them. Others may have what it gave up.
func (d *Desk) sent(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gave := false
	for r, share := range s.sending {
		p := r.parts[s.instance]
		if p == nil || d.sessions[s.instance] != s {
			continue
		}
		gave = gave || share < p.held
		p.held = share
	}
	s.sending = nil
	if !gave {
		return
	}
	for _, other := range d.sessions {
		if other != s {
			other.notify()
		}
	}
}
