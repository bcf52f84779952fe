package deltaclient

import (
	"context"
	"sync"
	"unique"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Config is one proxy.
type Config struct {
	ID, Fleet     string
	ListenAddress string   // node metadata, as in the bootstrap
	Bootstrap     string   // version of it; empty: the newest
	Layers        []string // runtime layers of the bootstrap, in order
	// Answer decides what becomes of a response; nil accepts all. It is called from the stream's goroutine, and may block: then the
	// client reads nothing more.
	Answer func(Response) Verdict
	// Changed is called from the stream's goroutine after each response. It may call the client's methods.
	Changed func()
}

// Response is what Answer is asked about.
type Response struct {
	Type     string
	Upserts  []string // names
	Removals []string
}

// Verdict is what becomes of a response: accepted by default.
type Verdict struct {
	Refuse string // not empty: refused, in these words; nothing of the response is taken
	// But is taken of a response that is refused all the same: as Envoy does with what is good of clusters and listeners, which says at its next stream that it
	// has what it had.
	But    func(name string) bool
	Silent bool // never answered, nor is anything of it taken
}

// Client is one proxy. Its methods can be called from any goroutine.
type Client struct {
	cfg  Config
	node *corev3.Node

	mu    sync.Mutex
	kinds [numKinds]kindState
	stats Stats
	woken chan struct{} // closed at the next change, nil if nobody waits
}

// Stats counts since the client was made, over all its streams.
type Stats struct {
	Digest    uint64 // XOR of the [Sum] of everything held
	Held      int    // resources held
	Responses int
	Upserts   int
	Removals  int
	Refused   int   // responses
	Bytes     int64 // of responses, uncompressed, without framing
}

// held is what is kept of a resource.
type held struct {
	version unique.Handle[string]
	sum     uint64
}

// kindState is one type.
type kindState struct {
	held map[unique.Handle[string]]held
	said map[unique.Handle[string]]string // versions that are said to be held, "" for none, where they are not those that are
	// Of the stream:
	asked    bool
	answered bool
	names    map[unique.Handle[string]]bool // asked for; true once answered
}

// New returns a client that holds nothing.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg, node: cfg.node()}
	for k := range c.kinds {
		c.kinds[k].held = map[unique.Handle[string]]held{}
	}
	return c
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Held returns the versions held of a type, by name.
func (c *Client) Held(typeURL string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	if k, ok := kindOf([]byte(typeURL)); ok {
		for name, h := range c.kinds[k].held {
			out[name.Value()] = h.version.Value()
		}
	}
	return out
}

// Await waits until ok, asked after every response.
func (c *Client) Await(ctx context.Context, ok func() bool) error {
	for {
		c.mu.Lock()
		if c.woken == nil {
			c.woken = make(chan struct{})
		}
		woken := c.woken
		c.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// changed tells whoever waits.
func (c *Client) changed() {
	c.mu.Lock()
	if c.woken != nil {
		close(c.woken)
		c.woken = nil
	}
	c.mu.Unlock()
	if c.cfg.Changed != nil {
		c.cfg.Changed()
	}
}
