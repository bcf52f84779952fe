package comparator

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// counts is all that is known, as message number sequence. Tallies are in it if they have changed, as far as there is room for them: first those
// that have waited longest; rest says that there was none for others. With all, those that take long to encode are not left for later.
func (k *comparator) counts(sequence int64, now time.Time, all bool) (out *crossfadev1.ComparatorCounts, rest bool) {
	k.mu.RLock()
	runs := make([]*run, 0, len(k.runs))
	for _, r := range k.runs {
		runs = append(runs, r)
	}
	k.mu.RUnlock()
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Or(cmp.Compare(a.sentIn, b.sentIn), cmp.Compare(a.key, b.key)) })
	out = &crossfadev1.ComparatorCounts{Sequence: sequence}
	room := maxTallyBytes
	for _, r := range runs {
		c := r.counts(sequence, now)
		switch {
		case room <= 0:
			rest = true
		case all || !now.Before(r.encodeNext):
			if err := r.encode(c, sequence); err != nil {
				k.log.Error("counts cannot be sent", slog.String("mirror", r.policy.Name), slog.Any("error", err))
			}
			room -= len(c.Tally)
		}
		out.Runs = append(out.Runs, c)
	}
	return out, rest
}

// counts is what is known of a run, without its tally.
func (r *run) counts(sequence int64, now time.Time) *crossfadev1.RunCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted && r.toldIn == 0 {
		r.toldIn = sequence
	}
	refusals, p99 := r.signals.recent(now)
	return &crossfadev1.RunCounts{
		Mirror: r.policy.Name, Run: r.policy.Run.ID, Received: r.received, InFlight: r.inFlight, Seen: r.gate.listed(), CandidateErrors: r.signals.candidateErrors,
		CandidateP99Ms: float64(p99) / float64(time.Millisecond), ControlRefusals: refusals, AskedControl: r.asked[control].Load(), AskedCandidate: r.asked[candidate].Load(),
	}
}

// encode adds the tally, if it has changed since it was last sent.
func (r *run) encode(c *crossfadev1.RunCounts, sequence int64) error {
	r.tallying.Lock()
	defer r.tallying.Unlock()
	r.mu.Lock()
	if !r.changed {
		r.mu.Unlock()
		return nil
	}
	for reason, n := range r.drops {
		r.tally.Drop(reason, n)
	}
	clear(r.drops)
	r.changed = false
	c.InFlight, c.Received = r.inFlight, r.received
	r.mu.Unlock()
	began := time.Now()
	state, err := r.tally.Encode()
	r.encodeNext = began.Add(maxEncodedShare * time.Since(began))
	if c.Tally = state; err == nil {
		r.mu.Lock()
		r.sentIn = sequence
		r.mu.Unlock()
	}
	return err
}

// forget makes all tallies be sent again: to a server that may not know them.
func (k *comparator) forget() {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, r := range k.runs {
		r.mu.Lock()
		r.changed, r.toldIn = true, 0
		r.mu.Unlock()
	}
}
