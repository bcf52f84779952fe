package kubernetes

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// How long after a failure the next attempt comes: at first, and at most (each is up to twice as long, by chance).
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// namespace holds the slices of one namespace, which one watch keeps up to date.
type namespace struct {
	cluster *Cluster
	name    string
	users   int // under the cluster's mu

	cancel context.CancelFunc
	done   chan struct{} // closed when the watch's goroutine is gone

	mu        sync.Mutex
	services  map[string]map[string]*discoveryv1.EndpointSlice // by service, by name of the slice; the slices are never changed
	serviceOf map[string]string                                // by name of the slice
	synced    bool                                             // the slices were listed
	open      bool                                             // a watch goes on where the slices are
	err       error                                            // of the last attempt; nil once a watch or list succeeded
	followers map[*follower]struct{}
	stopped   bool
	asking    sync.WaitGroup // lists; added to under mu, before stopped
}

// follower is one who is told of news.
type follower struct {
	service string
	news    chan struct{} // one slot: there are some
}

func newNamespace(c *Cluster, name string) *namespace {
	n := &namespace{
		cluster: c, name: name, done: make(chan struct{}),
		services: map[string]map[string]*discoveryv1.EndpointSlice{}, serviceOf: map[string]string{}, followers: map[*follower]struct{}{},
	}
	// What fails is told in looks, in our words; client-go's own log says it again, and more often.
	ctx, cancel := context.WithCancel(klog.NewContext(c.ctx, logr.Discard()))
	n.cancel = cancel
	reflector := cache.NewReflectorWithOptions(n.source(), &discoveryv1.EndpointSlice{}, &store{n}, cache.ReflectorOptions{
		Name: "crossfade/" + name,
		Backoff: &wait.Backoff{
			Duration: firstRetry, Cap: lastRetry, Factor: 2, Jitter: 1, Steps: 10,
		},
	})
	go func() {
		defer close(n.done)
		reflector.RunWithContext(ctx)
	}()
	return n
}

// stop ends the watch and returns when its goroutines are gone.
func (n *namespace) stop() {
	n.cancel()
	<-n.done
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	n.asking.Wait()
}

// begin is called before a list: the reflector lists in a goroutine that it does not wait for.
func (n *namespace) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stopped {
		n.asking.Add(1)
	}
	return !n.stopped
}

// follow adds a follower, who has news at once if anything is known.
func (n *namespace) follow(t Target) *follower {
	f := &follower{service: t.Service, news: make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.followers[f] = struct{}{}
	if n.synced || n.err != nil {
		f.wake()
	}
	return f
}

func (n *namespace) unfollow(f *follower) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.followers, f)
}

func (f *follower) wake() {
	select {
	case f.news <- struct{}{}:
	default: // it has not looked at the last ones yet, and will see these too
	}
}

// wake wakes the followers of a service, or all for "". The caller holds mu.
func (n *namespace) wake(service string) {
	for f := range n.followers {
		if service == "" || f.service == service {
			f.wake()
		}
	}
}

// errUnknown is never told: followers are woken only when something is known.
var errUnknown = errors.New("the slices have not been listed yet")

// look says what is known of a target.
func (n *namespace) look(t Target, at time.Time) discovery.Look {
	n.mu.Lock()
	err := n.err
	if err == nil && !n.synced {
		err = errUnknown
	}
	var slices []*discoveryv1.EndpointSlice
	for _, s := range n.services[t.Service] {
		slices = append(slices, s)
	}
	n.mu.Unlock()
	if err != nil {
		return discovery.Look{At: at, Err: err}
	}
	return lookAt(slices, t, at)
}

// well says that what is known is up to date, as far as anybody knows.
func (n *namespace) well() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.synced && n.open && n.err == nil
}

// failed tells everybody that an attempt to list or watch failed.
func (n *namespace) failed(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.cluster.log.Warn("the endpoint slices of a namespace cannot be followed; what is known of them stays",
			"cluster", n.cluster.name, "namespace", n.name, "error", err)
	}
	n.err = err
	n.wake("")
}

// opened notes that a watch goes on from what is known: that is current again, changed or not.
func (n *namespace) opened() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = true
	n.recovered()
}

// ended notes that a watch has ended, which is no failure: the next attempt decides.
func (n *namespace) ended() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open = false
}

// recovered forgets the last failure. The caller holds mu.
func (n *namespace) recovered() {
	if n.err == nil || !n.synced {
		return
	}
	n.cluster.log.Info("the endpoint slices of a namespace are followed again", "cluster", n.cluster.name, "namespace", n.name)
	n.err = nil
	n.wake("")
}
