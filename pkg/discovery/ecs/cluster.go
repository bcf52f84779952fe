package ecs

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
)

// How long after somebody new the next look begins, so that others who come with him share it, and how long after the last one at least.
const (
	gather = 50 * time.Millisecond
	minGap = time.Second
)

// pollTimeout is how long a look at a cluster may take in all, waits for the rate included.
const pollTimeout = 5 * time.Minute

// cluster is looked at by one goroutine, for all who follow targets in it.
type cluster struct {
	client *Client
	region *region
	key    clusterKey
	users  int // under the client's mu

	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine is gone
	wanted chan struct{} // one slot: somebody new wants a look

	mu        sync.Mutex
	followers map[*follower]struct{}
	err       error // of the last look, if there was none for anybody
	failedAt  time.Time
}

func newCluster(c *Client, r *region, key clusterKey) *cluster {
	cl := &cluster{
		client: c, region: r, key: key, done: make(chan struct{}), wanted: make(chan struct{}, 1), followers: map[*follower]struct{}{},
	}
	ctx, cancel := context.WithCancel(c.ctx)
	cl.cancel = cancel
	go func() {
		defer close(cl.done)
		cl.run(ctx)
	}()
	return cl
}

// stop ends the polls and returns when the goroutine is gone.
func (c *cluster) stop() {
	c.cancel()
	<-c.done
}

// follow adds a follower. While the cluster cannot be looked at, he hears at once why.
func (c *cluster) follow(f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.followers[f] = struct{}{}
	if c.err != nil {
		f.tell(discovery.Look{At: c.failedAt, Err: c.err})
	}
	select {
	case c.wanted <- struct{}{}:
	default: // others are waiting for the same look
	}
}

func (c *cluster) unfollow(f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followers, f)
}

// targets returns what is followed, each once, in order.
func (c *cluster) targets() []Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[Target]struct{}{}
	for f := range c.followers {
		all[f.target] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(all), compareTargets)
}

// run looks, and again at its pace, until ctx ends. Somebody new is served sooner, unless AWS does not answer.
func (c *cluster) run(ctx context.Context) {
	p := newPoller(c)
	pace := aws.Pace{Every: c.client.config.Poll, Random: rand.Float64}
	due, last, failing := time.Now().Add(pace.First()), time.Time{}, false
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wanted:
			soon := time.Now().Add(gather)
			if earliest := last.Add(minGap); soon.Before(earliest) {
				soon = earliest
			}
			if !last.IsZero() && !failing && soon.Before(due) {
				due = soon
				timer.Reset(time.Until(due))
			}
			continue
		case <-timer.C:
		}
		last = time.Now()
		outcome := c.look(ctx, p)
		if ctx.Err() != nil {
			return
		}
		failing = outcome != aws.Answered
		due = time.Now().Add(pace.Next(outcome))
		if !failing { // from the beginning of one to the beginning of the next
			due = due.Add(-time.Since(last))
		}
		timer.Reset(time.Until(due))
	}
}

// look looks once and tells everybody.
func (c *cluster) look(ctx context.Context, p *poller) aws.Outcome {
	bounded, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	looks, err := p.poll(bounded, c.targets())
	if ctx.Err() != nil {
		return aws.Failed // nobody listens any more
	}
	if err != nil {
		c.failed(err)
		return p.outcome
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.client.log.Info("an ECS cluster is followed again", "region", c.key.region, "cluster", c.key.name)
		c.err = nil
	}
	for f := range c.followers {
		if l, ok := looks[f.target]; ok { // not for those who came meanwhile
			l.Endpoints = slices.Clone(l.Endpoints)
			f.tell(l)
		}
	}
	return p.outcome
}

// failed tells everybody why there is no look.
func (c *cluster) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.client.log.Warn("an ECS cluster cannot be followed; what is known of it stays", "region", c.key.region, "cluster", c.key.name, "error", err)
	}
	c.err, c.failedAt = err, time.Now()
	for f := range c.followers {
		f.tell(discovery.Look{At: c.failedAt, Err: err})
	}
}
