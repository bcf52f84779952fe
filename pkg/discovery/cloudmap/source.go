package cloudmap

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
)

// DefaultPoll is how often each target is looked at.
const DefaultPoll = 5 * time.Second

// ErrClosed is returned by [Source.Watch] after [Source.Close].
var ErrClosed = errors.New("the Cloud Map source was closed")

// Config of a [Source].
type Config struct {
	// Poll is how often each target is looked at, give or take a tenth; 0 is DefaultPoll. A service of more than 1000 instances is looked
	// at less often; see the package.
	Poll time.Duration
	// Endpoint is the address of an emulator. Empty is AWS's own, or what AWS_ENDPOINT_URL says.
	Endpoint string
	// Log gets a line when looks at a target begin to fail, and when they are well again; nil is slog.Default().
	Log *slog.Logger
}

// Source finds endpoints in Cloud Map, in any region. Its methods may be called from several goroutines.
type Source struct {
	poll     time.Duration
	endpoint string
	http     sdk.HTTPClient // of tests; nil otherwise
	log      *slog.Logger
	calls    aws.Calls

	ctx   context.Context // ends with Close
	close context.CancelFunc

	mu       sync.Mutex
	closed   bool
	watching sync.WaitGroup // calls of Watch; added to under mu
	clients  map[string]*client
}

// renewAfter is how old a client is at least that is made anew because AWS did not accept what it shows.
const renewAfter = 30 * time.Second

// client asks one region.
type client struct {
	*servicediscovery.Client
	region string
	made   time.Time
}

// New prepares a source. It asks nobody: who has no credentials is told so by [Source.Watch].
func New(c Config) *Source {
	s := &Source{poll: c.Poll, endpoint: c.Endpoint, log: c.Log, clients: map[string]*client{}}
	if s.poll <= 0 {
		s.poll = DefaultPoll
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	return s
}

// Watch looks at a target about every [Config.Poll] and tells each look, from this goroutine, until ctx ends or the source is closed, and
// returns why it ended. An invalid target is refused at once. While looks fail they come less often: at last every 20 seconds, or every
// minute where AWS said that we ask too often. tell must not call [Source.Close].
func (s *Source) Watch(ctx context.Context, t Target, tell func(discovery.Look)) error {
	if err := t.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.watching.Add(1)
	s.mu.Unlock()
	defer s.watching.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	w := &watcher{source: s, target: t, tell: tell, pace: aws.Pace{Every: s.poll, Random: rand.Float64}}
	aws.Poll(ctx, &w.pace, w.look)
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// Calls returns how often AWS was asked since New, by action, for example "DiscoverInstances"; retries count.
func (s *Source) Calls() map[string]int64 { return s.calls.ByAction() }

// Close ends all calls of [Source.Watch] and waits for them. It may be called more than once.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.close()
	s.watching.Wait()
}

// client returns the client of a region, which is made for the first who asks. One that cannot be made is tried anew each time.
func (s *Source) client(ctx context.Context, region string) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[region]; c != nil {
		return c, nil
	}
	cfg, err := aws.Load(ctx, aws.Options{Region: region, Endpoint: s.endpoint, Calls: &s.calls, HTTP: s.http})
	if err != nil {
		return nil, err
	}
	c := &client{newClient(cfg), cfg.Region, time.Now()}
	s.clients[region] = c
	return c, nil
}

// renew forgets a client whose credentials are no good, so that the next look reads the files anew: somebody may have corrected them. The
// SDK itself renews only credentials that say when they end.
func (s *Source) renew(region string, c *client, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[region] == c && now.Sub(c.made) >= renewAfter {
		delete(s.clients, region)
	}
}

// Actions lists what our AWS identity must be allowed, as IAM names it. All but the first are needed only for services of 1000 instances
// and more.
func Actions() []string {
	return []string{
		"servicediscovery:DiscoverInstances", "servicediscovery:ListNamespaces", "servicediscovery:ListServices", "servicediscovery:ListInstances",
		"servicediscovery:GetInstancesHealthStatus",
	}
}
