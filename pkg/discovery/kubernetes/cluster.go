package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// ErrClosed is returned by [Cluster.Watch] after [Cluster.Close].
var ErrClosed = errors.New("the cluster was closed")

// Cluster follows the endpoints of services of one Kubernetes cluster. Its methods may be called from several goroutines.
type Cluster struct {
	name   string
	login  login
	http   *http.Client
	client rest.Interface
	again  time.Duration
	settle time.Duration
	log    *slog.Logger

	ctx   context.Context // ends with Close
	close context.CancelFunc

	mu         sync.Mutex
	closed     bool
	watching   sync.WaitGroup // calls of Watch; added to under mu
	namespaces map[string]*namespace
}

// New prepares a cluster. It connects to nobody: a cluster that cannot be reached is told to those who watch. The context bounds only
// the call.
func New(ctx context.Context, c Config) (*Cluster, error) {
	r, err := c.restConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
	}
	cluster := &Cluster{
		name: c.Name, login: loginOf(r), namespaces: map[string]*namespace{},
		again: or(c.Again, 5*time.Second), settle: or(c.Settle, 50*time.Millisecond), log: c.Log,
	}
	if cluster.log == nil {
		cluster.log = slog.Default()
	}
	if cluster.http, cluster.client, err = connect(r); err != nil {
		return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
	}
	cluster.ctx, cluster.close = context.WithCancel(context.Background())
	return cluster, nil
}

// connect makes a client of the one API group that is needed: client-go's set of clients would link them all.
func connect(r *rest.Config) (*http.Client, rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := discoveryv1.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	r = rest.CopyConfig(r)
	r.GroupVersion, r.APIPath = &discoveryv1.SchemeGroupVersion, "/apis"
	r.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	r.ContentType, r.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := rest.HTTPClientFor(r)
	if err != nil {
		return nil, nil, err
	}
	rc, err := rest.RESTClientForConfigAndClient(r, client)
	return client, rc, err
}

// Name is the cluster's name.
func (c *Cluster) Name() string { return c.name }

// Watch tells looks at a target, from this goroutine, until ctx ends or the cluster is closed, and returns why it ended. An invalid
// target is refused at once. The first look is told when something is known: what there is, or an error. News are gathered for a moment,
// but what is known to be stopping is told at once. tell must not call [Cluster.Close]; while it blocks, looks are not gathered: the next
// one is told as things are then.
func (c *Cluster) Watch(ctx context.Context, t Target, tell func(discovery.Look)) error {
	if err := t.Check(); err != nil {
		return err
	}
	n, err := c.join(t.Namespace)
	if err != nil {
		return err
	}
	defer c.leave(n)
	f := n.follow(t)
	defer n.unfollow(f)
	look := func() discovery.Look { return n.look(t, time.Now()) }
	teller := &teller{ended: [2]<-chan struct{}{ctx.Done(), c.ctx.Done()}, news: f.news, settle: c.settle, look: look, tell: tell}
	again := time.NewTicker(c.again)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrClosed
		case <-f.news:
			teller.gather()
		case <-again.C:
			select {
			case <-f.news: // came at the same moment: they are gathered first
				teller.gather()
				continue
			default:
			}
			if n.well() { // else nothing new is known
				teller.say(look())
			}
		}
	}
}

// join returns the namespace's watch, and starts it for the first who asks.
func (c *Cluster) join(name string) (*namespace, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.watching.Add(1)
	n := c.namespaces[name]
	if n == nil {
		n = newNamespace(c, name)
		c.namespaces[name] = n
	}
	n.users++
	return n, nil
}

// leave ends the watch with its last user, and returns when its goroutine is gone.
func (c *Cluster) leave(n *namespace) {
	defer c.watching.Done()
	c.mu.Lock()
	n.users--
	last := n.users == 0
	if last {
		delete(c.namespaces, n.name)
	}
	c.mu.Unlock()
	if last {
		n.stop()
	}
}

// Close ends all calls of [Cluster.Watch], waits for them, and closes the connections. It may be called more than once.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.close()
	c.watching.Wait()
	utilnet.CloseIdleConnectionsFor(c.http.Transport)
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
