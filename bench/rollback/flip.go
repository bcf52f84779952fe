package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// system is what flips: a control plane with its proxies, or a peer.
type system interface {
	name() string
	targets() []string // one for each proxy
	pids() []int       // of the proxies; none if they come and go, or if there are no proxies
	// away sends everything to the old origin, and returns when the proxies confirmed.
	away(ctx context.Context) error
	// back rolls back, waits for acknowledgements or for proof, and says what the answer said.
	back(ctx context.Context, proven bool) (answer, error)
}

// resting is a system that a rollback should not follow right after a change.
type resting interface {
	// rest bounds the time from when all is at the old origin to the rollback.
	rest() (least, most time.Duration)
}

// pause is a random time until a rollback of a system at whose old origin everything is.
func (l *lab) pause(s system) time.Duration {
	least, most := time.Duration(0), 50*time.Millisecond
	if r, ok := s.(resting); ok {
		least, most = r.rest()
	}
	return least + time.Duration(l.rnd.Int64N(int64(most-least)))
}

// answer is what a rollback answered, in seconds from its call. Zero is: not said.
type answer struct {
	acked float64 // when the last proxy had acknowledged
	proof float64 // when, by the proof, the last request was sent to the old origin
	state string  // of the proof; empty if it was not waited for

	unrecorded bool // the disk was slower than the answer
}

// flip is one rollback, in seconds from its call.
type flip struct {
	answer
	last    float64   // the last request at the old origin
	proxies []float64 // the same for each proxy
	late    float64   // how many came after the call
	called  float64   // how long the call took
	at      time.Duration
	mains   []turn // of the main threads of the proxies during a call that waits for acknowledgements
}

const (
	// silence is how long the old origin has had no request when a flip is over.
	silence = 200 * time.Millisecond
	// proofEvery is how many flips there are for each that waits for proof, which takes seconds. The others wait for acknowledgements.
	proofEvery = 25
	// arrived is how long the new origin must have had none before the next flip.
	arrived = 30 * time.Millisecond
	// look is how often the origins are asked.
	look = 5 * time.Millisecond
	// patience bounds each wait.
	patience = 20 * time.Second
)

// lab is the two origins, and the hosts by which their logs tell the proxies apart.
type lab struct {
	ecs, eks *origin.Origin
	hosts    []string
	rnd      *rand.Rand
}

// gaveUp is the error of a system that did not get to where it should be within [patience]. It ends a run, not the report, which says so.
type gaveUp struct{ error }

// await asks cond until it returns nil; after [patience] a system gave up.
func await(ctx context.Context, system string, every time.Duration, cond func() error) error {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := poll.Until(bounded, every, func(context.Context) error { return cond() })
	if err != nil && ctx.Err() == nil {
		return gaveUp{fmt.Errorf("%s: within %v: %w", system, patience, err)}
	}
	return err
}

// toOld brings all traffic to the old origin and waits until it is there.
func (l *lab) toOld(ctx context.Context, s system) error {
	if err := s.away(ctx); err != nil {
		return fmt.Errorf("%s: to %s: %w", s.name(), oldName, err)
	}
	return await(ctx, s.name(), look, func() error {
		now := monotime.Now()
		for _, host := range l.hosts {
			eks, there := l.eks.Last(host)
			ecs, _ := l.ecs.Last(host)
			if !there || now-ecs < arrived || now-eks > arrived {
				return fmt.Errorf("the requests for %s are not all at %s", host, oldName)
			}
		}
		return nil
	})
}

// flip measures one rollback; all traffic is at the old origin.
func (l *lab) flip(ctx context.Context, s system, proven bool) (f flip, err error) {
	if err := poll.Pause(ctx, l.pause(s)); err != nil {
		return f, err
	}
	before := turns(s)
	f.at = monotime.Now()
	f.answer, err = s.back(ctx, proven)
	if err != nil {
		return f, fmt.Errorf("%s: rollback: %w", s.name(), err)
	}
	f.called = (monotime.Now() - f.at).Seconds()
	if f.state == "" {
		for i, t := range turns(s) {
			f.mains = append(f.mains, turn{t.ran - before[i].ran, t.waited - before[i].waited})
		}
	}
	if err := l.awaitSilence(ctx, s, f.at); err != nil {
		return f, err
	}
	for _, host := range l.hosts {
		at, _ := l.eks.Last(host)
		after := max(0, (at - f.at).Seconds())
		f.proxies = append(f.proxies, after)
		f.last = max(f.last, after)
		n, err := l.eks.CountSince(host, f.at)
		if err != nil {
			return f, err
		}
		f.late += float64(n)
	}
	return f, nil
}

func turns(s system) (out []turn) {
	for _, pid := range s.pids() {
		out = append(out, turnOf(pid))
	}
	return out
}

// awaitSilence waits until the old origin is silent, and the new one has requests of every proxy.
func (l *lab) awaitSilence(ctx context.Context, s system, since time.Duration) error {
	return await(ctx, s.name(), look, func() error {
		now := monotime.Now()
		for _, host := range l.hosts {
			old, _ := l.eks.Last(host)
			if at, there := l.ecs.Last(host); !there || at < since {
				return fmt.Errorf("no request for %s at %s", host, newName)
			}
			if now-max(old, since) < silence {
				return errors.New(oldName + " still gets requests")
			}
		}
		return nil
	})
}
