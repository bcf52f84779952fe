package ecs

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
)

// ErrClosed is returned by [Client.Watch] after [Client.Close].
var ErrClosed = errors.New("the source was closed")

// Client follows tasks of ECS. Its methods may be called from several goroutines.
type Client struct {
	config Config
	log    *slog.Logger
	calls  aws.Calls

	ctx   context.Context // ends with Close
	close context.CancelFunc

	mu       sync.Mutex
	closed   bool
	watching sync.WaitGroup // calls of Watch; added to under mu
	regions  map[string]*region
	clusters map[clusterKey]*cluster
}

// clusterKey is a cluster as targets name it.
type clusterKey struct{ region, name string }

// New prepares a client. It asks nobody: that AWS does not answer is told to those who watch. The context bounds only the call.
func New(_ context.Context, c Config) (*Client, error) {
	out := &Client{regions: map[string]*region{}, clusters: map[clusterKey]*cluster{}}
	var err error
	if out.config, err = c.withDefaults(); err != nil {
		return nil, err
	}
	out.log = out.config.Log
	out.ctx, out.close = context.WithCancel(context.Background())
	return out, nil
}

// Watch tells looks at a target, from this goroutine, until ctx ends or the client is closed, and returns why it ended. An invalid target
// is refused at once. Each look at the cluster is told, changed or not. tell must not call [Client.Close]; while it blocks, only the
// newest look is kept.
func (c *Client) Watch(ctx context.Context, t Target, tell func(discovery.Look)) error {
	if err := t.Check(); err != nil {
		return err
	}
	f := &follower{target: t, news: make(chan discovery.Look, 1)}
	cl, err := c.join(f)
	if err != nil {
		return err
	}
	defer c.leave(cl, f)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		case look := <-f.news:
			if ctx.Err() == nil && c.ctx.Err() == nil {
				tell(look)
			}
		}
	}
}

// Calls returns how many calls were sent, by action, for example "ListTasks": repeated ones too.
func (c *Client) Calls() map[string]int64 { return c.calls.ByAction() }

// Close ends all calls of [Client.Watch] and waits for them. It may be called more than once.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.close()
	c.watching.Wait()
}

// join makes a follower one of its cluster, which is polled from the first one on.
func (c *Client) join(f *follower) (*cluster, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.watching.Add(1)
	key := clusterKey{f.target.Region, f.target.Cluster}
	cl := c.clusters[key]
	if cl == nil {
		r := c.regions[key.region]
		if r == nil {
			r = newRegion(key.region, c.config, &c.calls)
			c.regions[key.region] = r
		}
		cl = newCluster(c, r, key)
		c.clusters[key] = cl
	}
	cl.users++
	cl.follow(f)
	return cl, nil
}

// leave ends the polls with the last follower, and returns when their goroutine is gone.
func (c *Client) leave(cl *cluster, f *follower) {
	defer c.watching.Done()
	cl.unfollow(f)
	c.mu.Lock()
	cl.users--
	last := cl.users == 0
	if last {
		delete(c.clusters, cl.key)
	}
	c.mu.Unlock()
	if last {
		cl.stop()
	}
}

// follower is one who is told.
type follower struct {
	target Target
	news   chan discovery.Look // one slot: the newest
}

// tell puts a look into the slot. Only one goroutine at a time may call it.
func (f *follower) tell(l discovery.Look) {
	select {
	case <-f.news: // not taken yet, and old now
	default:
	}
	f.news <- l
}
