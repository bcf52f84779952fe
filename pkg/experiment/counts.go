package experiment

import (
	"errors"
	"math"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// Bounds of messages.
const (
	maxMessage = 16 << 20 // bytes
	maxSeen    = 4096     // paths of one run
	maxCount   = 1 << 52  // of anything: sums stay exact
)

var instanceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func refuse(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// checkCounts says what is wrong with a message as a whole.
func checkCounts(c *crossfadev1.ComparatorCounts) error {
	if n := proto.Size(c); n > maxMessage {
		return refuse("counts: %d bytes; at most %d are taken", n, maxMessage)
	}
	if c.GetSequence() < 1 {
		return refuse("counts: sequence %d; it begins with 1", c.GetSequence())
	}
	return nil
}

// sound says that numbers are 0 or more and at most 2^52, and texts not too long.
func sound(r *crossfadev1.RunCounts) bool {
	for _, n := range []int64{r.GetInFlight(), r.GetCandidateErrors(), r.GetControlRefusals(), r.GetAskedControl(), r.GetAskedCandidate(), r.GetReceived()} {
		if n < 0 || n > maxCount {
			return false
		}
	}
	if p := r.GetCandidateP99Ms(); math.IsNaN(p) || math.IsInf(p, 0) || p < 0 || len(r.GetSeen()) > maxSeen {
		return false
	}
	for _, s := range r.GetSeen() {
		if s.GetCount() < 0 || s.GetCount() > maxCount || max(len(s.GetMethod()), len(s.GetEndpoint()), len(s.GetExcluded())) > policy.MaxSeenText {
			return false
		}
	}
	return true
}

// counted is what one run of a message says.
type counted struct {
	run    *run
	counts *crossfadev1.RunCounts
	tally  *shadow.Tally // nil: as before
	bad    string        // why it cannot be taken
}

// take takes over a message. What cannot be taken of one run is left out: the counts of others, and of the same run later on, are not to suffer.
func (d *Desk) take(s *session, c *crossfadev1.ComparatorCounts) error {
	if err := checkCounts(c); err != nil {
		return err
	}
	var all []counted
	told := map[*run]bool{}
	for i, rc := range c.GetRuns() {
		if i == policy.MaxComparatorRuns {
			d.tooMany(s, len(c.GetRuns()))
			break
		}
		r := d.runOf(rc)
		if r == nil || told[r] {
			continue // it has been deleted, or started anew
		}
		told[r] = true
		t, err := decode(r, rc.GetTally())
		if errors.Is(err, shadow.ErrKey) {
			d.otherKey(s, r)
			continue
		}
		one := counted{run: r, counts: rc, tally: t}
		switch {
		case err != nil:
			one.bad = shadow.ErrState.Error() // the whole error may hold what is in the tally
		case !sound(rc):
			one.bad = "numbers are 0 or more and at most 2^52, paths are few and short"
		}
		all = append(all, one)
	}
	d.apply(s, c, all)
	return nil
}

// tooMany says once that an instance tells of more runs than are taken.
func (d *Desk) tooMany(s *session, n int) {
	d.mu.Lock()
	first := !s.tooMany
	s.tooMany = true
	d.mu.Unlock()
	if first {
		d.c.Log.Warn("a comparator counts more experiments than are taken", "instance", s.instance, "runs", n, "taken", policy.MaxComparatorRuns)
	}
}

// decode reads a tally; nil if there is none.
func decode(r *run, raw []byte) (*shadow.Tally, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return shadow.DecodeTally(r.options, raw)
}

// runOf is the run that counts are of, nil if there is none any more.
func (d *Desk) runOf(c *crossfadev1.RunCounts) *run {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.runs[c.GetMirror()]; r != nil && r.id == c.GetRun() && len(r.broken) == 0 && !r.waits && r.gone != goneExpired {
		return r
	}
	return nil
}

// otherKey says once that an instance has counted under a key that is lost: its counts cannot be added to others.
func (d *Desk) otherKey(s *session, r *run) {
	d.mu.Lock()
	first := !r.strange
	r.strange = true
	d.mu.Unlock()
	if first {
		d.c.Log.Warn("a comparator counts an experiment under a key that is lost: stop the experiment and start it anew",
			"mirror", r.mirror, "run", r.id, "instance", s.instance)
	}
}

func (d *Desk) apply(s *session, c *crossfadev1.ComparatorCounts, all []counted) {
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[s.instance] != s {
		return // another stream of the same instance has taken over
	}
	s.heard, s.sequence = now, max(s.sequence, c.GetSequence())
	if !d.keeper.keeps() {
		s.acked = s.sequence
	}
	for _, a := range all {
		r := a.run
		if d.runs[r.mirror] != r || r.past.instances[s.instance] {
			continue
		}
		p := d.join(r, s, now)
		if c.GetSequence() <= p.sequence {
			continue
		}
		if a.bad != "" {
			d.cannotTake(r, p, a.bad)
			continue
		}
		p.count(c.GetSequence(), a.counts, a.tally, now)
		r.counted, r.when = true, now
		r.touch()
		d.fresh = true
		d.urgent = d.urgent || !r.open()
	}
}

// cannotTake notes that the last word of an instance on a run could not be taken, and says so once. A later one makes up for it. The lock of the
// desk is held.
func (d *Desk) cannotTake(r *run, p *part, why string) {
	if p.untaken {
		return
	}
	p.untaken = true
	r.touch()
	d.fresh = true
	d.c.Log.Warn("what a comparator counts of an experiment cannot be taken", "mirror", r.mirror, "run", r.id, "instance", p.instance, "error", why)
}
