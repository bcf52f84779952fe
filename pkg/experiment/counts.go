package experiment

import (
	"errors"
	"math"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// Bounds of messages.
const (
	maxMessage = 16 << 20 // bytes
	maxRuns    = 256
	maxSeen    = 4096    // paths of one run
	maxText    = 1024    // bytes of a path
	maxCount   = 1 << 52 // of anything: sums stay exact
)

var instanceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func refuse(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// checkCounts says what is wrong with a message, but for its tallies.
func checkCounts(c *crossfadev1.ComparatorCounts) error {
	if n := proto.Size(c); n > maxMessage {
		return refuse("counts: %d bytes; at most %d are taken", n, maxMessage)
	}
	if len(c.GetRuns()) > maxRuns {
		return refuse("counts: %d runs; at most %d are taken", len(c.GetRuns()), maxRuns)
	}
	if c.GetSequence() < 1 {
		return refuse("counts: sequence %d; it begins with 1", c.GetSequence())
	}
	told := map[[2]string]bool{}
	for i, r := range c.GetRuns() {
		id := [2]string{r.GetMirror(), r.GetRun()}
		if told[id] {
			return refuse("counts: runs[%d] is told twice", i)
		}
		told[id] = true
		if !sound(r) {
			return refuse("counts: runs[%d]: numbers are 0 or more, and at most 2^52; at most %d paths were seen, of at most %d bytes", i, maxSeen, maxText)
		}
	}
	return nil
}

func sound(r *crossfadev1.RunCounts) bool {
	for _, n := range []int64{r.GetInFlight(), r.GetCandidateErrors(), r.GetControlRefusals(), r.GetAskedControl(), r.GetAskedCandidate()} {
		if n < 0 || n > maxCount {
			return false
		}
	}
	if p := r.GetCandidateP99Ms(); math.IsNaN(p) || math.IsInf(p, 0) || p < 0 || len(r.GetSeen()) > maxSeen {
		return false
	}
	for _, s := range r.GetSeen() {
		if s.GetCount() < 0 || s.GetCount() > maxCount || len(s.GetMethod())+len(s.GetEndpoint())+len(s.GetExcluded()) > maxText {
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
}

// take takes over a message, all of it or nothing.
func (d *Desk) take(s *session, c *crossfadev1.ComparatorCounts) error {
	if err := checkCounts(c); err != nil {
		return err
	}
	var all []counted
	for i, rc := range c.GetRuns() {
		r := d.runOf(rc)
		if r == nil {
			continue // it has been deleted, or started anew
		}
		t, err := decode(r, rc.GetTally())
		if errors.Is(err, shadow.ErrKey) {
			d.otherKey(s, r)
			continue
		}
		if err != nil {
			return refuse("counts: runs[%d]: the tally of %q cannot be read: %s", i, r.mirror, shadow.ErrState)
		}
		all = append(all, counted{r, rc, t})
	}
	d.apply(s, c, all)
	return nil
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
	if r := d.runs[c.GetMirror()]; r != nil && r.id == c.GetRun() && len(r.broken) == 0 && r.gone != goneExpired {
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
		p.count(c.GetSequence(), a.counts, a.tally, now)
		r.counted, r.when = true, now
		r.touch()
		d.fresh = true
		d.urgent = d.urgent || !r.open()
	}
}
