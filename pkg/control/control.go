package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/engine"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
	"github.com/crossfade-proxy/crossfade/pkg/telemetry"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// Config is what a controller works with. Log and Now are optional, Journal too: without one a rollback that the store refuses is
// lost with the process.
type Config struct {
	Store     store.Store
	Journal   *journal.Journal
	Fleets    *xds.Server
	Telemetry *telemetry.Telemetry // nil: nothing is proven
	Discovery Discovery
	// Experiments works on mirrors; nil: none can be started.
	Experiments Experiments
	Mirrors     MirrorRules
	// Comparators is the name in the certificate of comparators: proxies speak TLS to them. Empty: in clear text.
	Comparators string
	// Rollouts makes who walks rollouts with what the controller shows and does; nil: none can be started.
	Rollouts     func(engine.Control) Rollouts
	RolloutRules RolloutRules
	// Restored says that the store was made of a backup: what rollouts of it went on to do is not known, so they begin paused.
	Restored bool
	Traces   trace.TracerProvider // gets the spans of changes; nil: nobody does
	Log      *slog.Logger
	Now      func() time.Time
}

// Controller holds what is live and changes it. All methods are safe for concurrent use.
type Controller struct {
	store     store.Store
	journal   *journal.Journal
	fleets    *xds.Server
	telemetry *telemetry.Telemetry
	log       *slog.Logger
	tracer    trace.Tracer
	now       func() time.Time
	endpoints endpoints
	events    hub

	experiments Experiments
	mirrorRules MirrorRules
	telling     sync.Mutex                       // one after the other tells experiments what there is
	comparators atomic.Pointer[[]netip.AddrPort] // where copies are sent to

	rollouts     Rollouts // nil: none can be started
	rolloutRules RolloutRules
	restored     bool // see Config
	sent         sent // publications of levers
	hands        *hands

	recording crew // rollbacks on their way to the store, and notes
	ctx       context.Context
	stop      context.CancelFunc

	write chan struct{} // one change is written at a time; held while the store works
	doubt bool          // the store may have written what was refused; guarded by write
	order sync.Mutex    // publications leave in the order in which intent changed; taken before mu

	mu     sync.RWMutex
	live   intent
	made   made
	stamps stamps // of changes that the store knows, or this process

	unrecorded []*unrecorded // rollbacks that are live and not in the store, oldest first
	untidy     atomic.Int32  // how often the journal may have come to hold what the store has, see tidy
}

// New returns a controller. Call [Controller.Load] before anything else.
func New(c Config) *Controller {
	ctl := &Controller{
		store: c.Store, journal: c.Journal, fleets: c.Fleets, telemetry: c.Telemetry, log: c.Log, now: c.Now,
		experiments: c.Experiments, mirrorRules: c.Mirrors, rolloutRules: c.RolloutRules, restored: c.Restored, made: made{}, tracer: tracerOf(c.Traces),
		write: make(chan struct{}, 1), live: newIntent(c.Comparators),
	}
	ctl.ctx, ctl.stop = context.WithCancel(context.Background())
	if ctl.log == nil {
		ctl.log = slog.New(slog.DiscardHandler)
	}
	if ctl.now == nil {
		ctl.now = time.Now
	}
	ctl.openEndpoints(c.Discovery)
	ctl.hands = &hands{c: ctl, proofs: map[string]*standing{}}
	if c.Rollouts != nil {
		ctl.rollouts = c.Rollouts(ctl.hands)
	}
	return ctl
}

// closeGrace is how long Close lets rollbacks reach the store. What does not stays in the journal.
const closeGrace = 2 * time.Second

// Close waits for what is being recorded, not for long. The store stays open.
func (c *Controller) Close() {
	if c.rollouts != nil {
		c.rollouts.Close() // before what it does is closed
	}
	done := c.recording.close()
	select {
	case <-done:
	case <-time.After(closeGrace):
	}
	c.stop()
	<-done
	if err := c.endpoints.tracker.Close(); err != nil {
		c.log.Warn("what is known of endpoints could not be kept for the next start", "error", err)
	}
}

// crew works in the background until it is closed. What is asked of it later is not done.
type crew struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

func (c *crew) Go(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Go(f)
	}
}

// close returns a channel that is closed when all is done.
func (c *crew) close() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.work.Wait()
	}()
	return done
}

// Options go with every change.
type Options struct {
	Who      string // as the history shows it
	Verified bool   // a certificate showed it
	Name     string // in that certificate; empty without
	Reason   string
	Expect   int64  // the object's last revision; 0: not compared
	Key      string // idempotency key; empty: none
	Cause    string // of splits that it sets: the ID of a rollout's effect; empty: it is somebody else's
	Digest   []byte // of the request that carries the key
	Wait     crossfadev1.Wait
	Timeout  time.Duration // of the wait; 0: DefaultTimeout
	Force    bool
}

// DefaultTimeout is how long a change waits for the fleet.
const DefaultTimeout = 10 * time.Second

// stampHistory is how many revisions back the store is asked for stamps at start.
const stampHistory = 10_000

// Load reads the store and the journal and publishes what is live.
func (c *Controller) Load(ctx context.Context) error {
	snapshot, err := c.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	for _, o := range snapshot.Objects {
		if err := c.live.load(o); err != nil {
			return err
		}
		if m := c.live.mirrors[o.Key.Name]; o.Key.Kind == kindMirror && m.unread != nil {
			c.log.Error("a mirror that the store holds is not one for this version: it does not run", "mirror", o.Key.Name, "error", m.unread)
		}
	}
	c.live.attachMirrors(func(service string) int64 { return c.rollbackOf(ctx, service) })
	c.live.revision = snapshot.Revision
	if err := c.loadHistory(ctx); err != nil {
		return err
	}
	for _, s := range c.live.services.All() {
		c.endpoints.follow(nil, s.compiled)
	}
	for name := range c.live.fleetNames() {
		c.publish(name, xds.Update{Revision: c.live.revision, Levers: c.live.levers(name), Stamp: c.live.stamp}).Close()
		for range 2 { // both steps: proxies that come back have it so, and base layers that are sent empty would show
			c.fleets.Fleet(name).Fold(0)
		}
	}
	if err := c.replayJournal(ctx); err != nil {
		return err
	}
	c.tellExperiments()
	c.recording.Go(c.endHalted)
	c.resumeRollouts()
	return nil
}

// loadHistory learns the stamps.
func (c *Controller) loadHistory(ctx context.Context) error {
	read := 0
	for r, err := range c.revisions(ctx, store.ObjectKey{}, 1000) {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		c.stamps.add(r.GetStamp())
		c.made.note(r)
		if c.live.stamp == "" {
			c.live.stamp = r.GetStamp()
		}
		if read++; read == stampHistory {
			break
		}
	}
	return nil
}

// KnownStamp says whether a change that a proxy carries is known: in the store, or made by this process.
func (c *Controller) KnownStamp(_, stamp string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.stamps.known[stamp]
}

func newStamp() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return hex.EncodeToString(b[:])
}

// Actions, as the history shows them.
const (
	ActionApply      = "apply"
	ActionDelete     = "delete"
	ActionSplit      = "split set"
	ActionPinAdd     = "pin add"
	ActionPinRemove  = "pin rm"
	ActionSetPrimary = "service set-primary"
	ActionRollback   = "rollback"
	ActionUndo       = "undo"
	ActionAccept     = "endpoints accept" // of endpoints that were held: intent stays
	ActionRevert     = "revert"           // of a change that a proxy refused

	ActionMirrorStart = "mirror start"
	ActionMirrorEnd   = "mirror end"

	ActionRolloutStart = "rollout start" // further ones are the engine's: "rollout approve", "rollout step", …
)

// decides says whether an action settles where a service's traffic is, for the rule that after a rollback an apply may not raise it.
func decides(action string) bool {
	return action == ActionRollback || action == ActionSplit || action == ActionUndo || action == ActionPinAdd
}

func notFound(kind, name string) *policy.Error {
	return &policy.Error{Kind: policy.NotFound, Code: "unknown_" + kind, Field: "name", Value: name, Message: "there is no " + kind + " of this name", Next: "`shadowctl get " + kind + "s` lists them"}
}
