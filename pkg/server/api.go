package server

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/health"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/control"
)

// Controller is what the API works on: a [control.Controller]. Its errors are *policy.Error, policy.Errors, *control.ChangeError or
// those of a context.
type Controller interface {
	Apply(ctx context.Context, docs []*crossfadev1.Document, o control.Options) ([]*crossfadev1.Change, error)
	Diff(docs []*crossfadev1.Document) ([]*crossfadev1.Difference, error)
	Get(kind, name string) (*crossfadev1.Document, *crossfadev1.ServiceStatus, error)
	List(fleet string) []*crossfadev1.ServiceStatus
	// TakesFrom returns the names of the services that would lose requests to a service if it became like this, and lose none to it as it is.
	TakesFrom(*crossfadev1.Service) []string
	Delete(ctx context.Context, kind, name string, o control.Options) (*crossfadev1.Change, error)
	SetSplit(ctx context.Context, service string, weights map[string]int32, o control.Options) (*crossfadev1.Change, error)
	PutPin(ctx context.Context, service string, pin *crossfadev1.Pin, o control.Options) (*crossfadev1.Change, error)
	DeletePin(ctx context.Context, service, name string, o control.Options) (*crossfadev1.Change, error)
	SetPrimary(ctx context.Context, service, origin string, o control.Options) (*crossfadev1.Change, error)
	Undo(ctx context.Context, service string, to int64, o control.Options) (*crossfadev1.Change, error)
	Rollback(ctx context.Context, t control.RollbackTarget, o control.Options) ([]*crossfadev1.Change, error)
	Proxies(fleet string) []*crossfadev1.Proxy
	History(ctx context.Context, service string, before int64, limit int) ([]*crossfadev1.Revision, error)
	Explain(r *crossfadev1.ExplainRouteRequest) (*crossfadev1.ExplainRouteResponse, error)
	Watch(service string) *control.Subscription
	Endpoints(service, origin string) ([]*crossfadev1.Endpoint, error)
	Origins(service, origin string) ([]*crossfadev1.OriginStatus, error)
	Troubled(fleet string) []*crossfadev1.OriginStatus
	WatchEndpoints(ctx context.Context, service, origin string, tell func(*crossfadev1.WatchEndpointsResponse) error) error
	AcceptEndpoints(ctx context.Context, service, origin string, o control.Options) (*crossfadev1.Change, []*crossfadev1.Endpoint, error)
	// StartMirror starts an experiment: a document, or by name one that has ended. It returns the document as it was started.
	StartMirror(ctx context.Context, doc *crossfadev1.Mirror, name string, o control.Options) (*crossfadev1.Change, *crossfadev1.Mirror, error)
	// EstimateMirror says what StartMirror would ask of the origins; its errors are those that StartMirror would have.
	EstimateMirror(doc *crossfadev1.Mirror, name string) (*crossfadev1.MirrorEstimate, *crossfadev1.Mirror, error)
	StopMirror(ctx context.Context, name string, o control.Options) (*crossfadev1.Change, error)
	Mirrors(service string) []*crossfadev1.MirrorStatus
	MirrorReport(name string) (*crossfadev1.MirrorReport, error)
	// MirrorsChanged returns a channel that is closed when a report changes after the call.
	MirrorsChanged() <-chan struct{}
	// StartRollout starts a rollout: a document, or by name one that is over. With a lease it is aborted if nobody attends to it for so long; 0: never.
	// A key that was used before starts nothing: the change is that of the first call, and the status is the present one.
	StartRollout(ctx context.Context, doc *crossfadev1.Rollout, name string, lease time.Duration, o control.Options) (*crossfadev1.Change, *crossfadev1.RolloutStatus, error)
	// CheckRollout says how it would be if StartRollout were called; its errors are those that StartRollout would have.
	CheckRollout(doc *crossfadev1.Rollout, name string, o control.Options) (*crossfadev1.RolloutStatus, error)
	ActOnRollout(ctx context.Context, name, action string, step int, o control.Options) (*crossfadev1.RolloutStatus, error)
	Rollouts(service string) []*crossfadev1.RolloutStatus
	Rollout(name string) (*crossfadev1.RolloutStatus, error)
	// RolloutChanged returns a channel that is closed when a rollout changes after the call.
	RolloutChanged(name string) <-chan struct{}
	// AttendRollout says that somebody waits for the end of a rollout, until leave is called.
	AttendRollout(name string) (leave func())
	Revision() int64
}

// Info is what the server says of itself.
type Info struct {
	Version   string
	Commit    string            // empty if the build does not know
	Addresses map[string]string // HOST:PORT by listener: "xds", "comparator", "api", "http"
	Started   time.Time
}

// Config is what an API works with. Controller is needed, the rest is optional.
type Config struct {
	Controller Controller
	Info       Info
	Log        *slog.Logger
	// Changed is called with what became of a change before it is answered, the call's method ("Rollback") and how long it took.
	Changed func(method string, changes []*crossfadev1.Change, took time.Duration)
	// Denied is called with each call that was refused for want of a right: its method ("Rollback", "GET /debug/") and a reason, "no_certificate",
	// "no_name", "no_role" or "no_rule".
	Denied func(method, reason string)
	// Traces gets the spans of calls; nil: nobody does.
	Traces trace.TracerProvider
	// Access are the rules by which callers with a certificate are let in; nil: everybody is. See [API.SetAccess].
	Access *access.Rules
	// Attempts remembers who was refused; nil: nobody does.
	Attempts Attempts
	// MaxMessage bounds a request, in bytes. 0: DefaultMaxMessage.
	MaxMessage int
	// WatchStall is how long a watcher may leave an event unread before it is cut off. 0: DefaultWatchStall.
	WatchStall time.Duration
}

// Defaults of Config.
const (
	DefaultMaxMessage = 4 << 20
	DefaultWatchStall = 10 * time.Second
)

// API is the service crossfade.v1. Its methods are those of the contract, see there.
type API struct {
	crossfadev1.UnimplementedCrossfadeServiceServer

	control    Controller
	info       Info
	log        *slog.Logger
	changed    func(string, []*crossfadev1.Change, time.Duration)
	denied     func(method, reason string)
	traces     trace.TracerProvider
	maxMessage int
	watchStall time.Duration
	health     *health.Server
	codec      *codec
	gate       gate

	streams    context.Context // ends when the server stops: watches
	endStreams context.CancelFunc
	waits      context.Context // ends a little later: calls that wait for the fleet
	endWaits   context.CancelFunc
}

// New returns an API that is not serving yet: health says so until [API.SetServing].
func New(c Config) *API {
	a := &API{
		control: c.Controller, info: c.Info, log: c.Log, changed: c.Changed, denied: c.Denied, traces: c.Traces, maxMessage: c.MaxMessage, watchStall: c.WatchStall,
		health: health.NewServer(),
	}
	a.gate.attempts, a.gate.streams = c.Attempts, map[*guarded]bool{}
	if c.Access != nil {
		a.gate.rules.Store(c.Access)
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.changed == nil {
		a.changed = func(string, []*crossfadev1.Change, time.Duration) {}
	}
	if a.traces == nil {
		a.traces = noop.NewTracerProvider()
	}
	if a.maxMessage <= 0 {
		a.maxMessage = DefaultMaxMessage
	}
	a.codec = newCodec(a.maxMessage)
	if a.watchStall <= 0 {
		a.watchStall = DefaultWatchStall
	}
	a.streams, a.endStreams = context.WithCancel(context.Background())
	a.waits, a.endWaits = context.WithCancel(context.Background())
	a.SetServing(false)
	return a
}
