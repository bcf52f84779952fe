package xds

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

var errDeltaOnly = status.Error(codes.Unimplemented, "only delta ADS is served: set ads_config.api_type to DELTA_GRPC")

// maxNameLength bounds node.id and node.cluster.
const maxNameLength = 256

// maxUnknownFleets bounds the fleets that proxies name and no document does.
const maxUnknownFleets = 256

// Options of a server. All are optional.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
	// Admit says who may be a proxy of a fleet. Nil: everybody may.
	Admit Admit
	// Secure says that streams come by TLS, and that proxies and comparators speak it too: proxies may have their experiment address anywhere.
	Secure bool
	// KnownStamp says whether the store knows the change that a proxy's levers carry.
	KnownStamp func(fleet, stamp string) bool
	// OnRefusal is called when a proxy's refusal parked a resource. It must not block.
	OnRefusal func(fleet string, r Refusal)
	// OnNack is called for each refused response with its short type.
	OnNack func(fleet, kind string)
	// OnConnect is called when a proxy's stream begins (true) or ends. It must not block.
	OnConnect func(fleet, proxy string, connected bool)
	// TurnTime is how long a proxy may take for a change of routes before others get theirs all the same. 0: DefaultTurnTime.
	TurnTime time.Duration
}

// Server serves all fleets.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	log        *slog.Logger
	now        func() time.Time
	admit      Admit
	secure     bool
	knownStamp func(fleet, stamp string) bool
	onRefusal  func(fleet string, r Refusal)
	onNack     func(fleet, kind string)
	onConnect  func(fleet, proxy string, connected bool)
	turnTime   time.Duration

	began time.Time
	moved atomic.Int64 // when something was published or acknowledged, last; nanoseconds since began, as the time of day may be set back

	mu     sync.Mutex
	fleets map[string]*Fleet
}

// NewServer returns a server without fleets.
func NewServer(o Options) *Server {
	s := &Server{
		log: o.Log, now: o.Now, admit: o.Admit, secure: o.Secure, knownStamp: o.KnownStamp, onRefusal: o.OnRefusal, onNack: o.OnNack, onConnect: o.OnConnect,
		turnTime: cmp.Or(o.TurnTime, DefaultTurnTime), fleets: map[string]*Fleet{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.began = s.now()
	return s
}

// Register adds the discovery service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discovery.RegisterAggregatedDiscoveryServiceServer(r, s)
}

// Fleet returns the fleet of that name, which exists from its first mention.
func (s *Server) Fleet(name string) *Fleet {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.fleets[name]
	if !ok {
		f = newFleet(name, s)
		s.fleets[name] = f
	}
	return f
}

// Fleets returns all fleets, by name: those that documents name and those that only proxies do.
func (s *Server) Fleets() []*Fleet {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Fleet, 0, len(s.fleets))
	for _, f := range s.fleets {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *Fleet) int { return strings.Compare(a.name, b.name) })
	return out
}

// Quiet says whether nothing has been published and no proxy has come closer to what it should have for so long. A proxy that does not answer is not waited for.
func (s *Server) Quiet(long time.Duration) bool {
	return s.now().Sub(s.began)-time.Duration(s.moved.Load()) >= long
}

// move notes that something was published or acknowledged.
func (s *Server) move() { s.moved.Store(int64(s.now().Sub(s.began))) }

// Run folds levers until ctx ends.
func (s *Server) Run(ctx context.Context, quiet time.Duration) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, f := range s.Fleets() {
				f.Fold(quiet)
			}
		}
	}
}

// StreamAggregatedResources refuses state-of-the-world streams.
func (s *Server) StreamAggregatedResources(discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return errDeltaOnly
}

// identify puts a session into its fleet.
func (s *Server) identify(sess *session, node *core.Node) error {
	id, cluster := node.GetId(), node.GetCluster()
	switch {
	case id == "" || len(id) > maxNameLength:
		return status.Errorf(codes.InvalidArgument, "node.id %.40q: 1 to %d characters are needed; `shadowctl bootstrap --node-id` writes it", id, maxNameLength)
	case cluster == "" || len(cluster) > maxNameLength:
		return status.Errorf(codes.InvalidArgument, "node.cluster %.40q: the name of the fleet is needed; `shadowctl bootstrap --fleet` writes it", cluster)
	}
	if err := sess.admitted(cluster, id); err != nil {
		return err
	}
	fleet, err := s.fleetOf(cluster)
	if err != nil {
		return err
	}
	v := node.GetUserAgentBuildVersion().GetVersion()
	version := ""
	if v != nil {
		version = itoa(v.GetMajorNumber()) + "." + itoa(v.GetMinorNumber()) + "." + itoa(v.GetPatch())
	}
	bootstrap := metadata(node, "crossfade.bootstrap")
	if len(bootstrap) > maxBootstrapLength {
		bootstrap = ""
	}
	at := places{listen: metadata(node, "crossfade.listen_address")}
	if n := max(len(at.listen), len(metadata(node, "crossfade.experiment_address"))); n > maxAddressLength {
		return status.Errorf(codes.InvalidArgument, "node metadata crossfade.listen_address or crossfade.experiment_address has %d bytes; at most %d are taken", n, maxAddressLength)
	}
	experiment, err := translate.ExperimentAddress(metadata(node, "crossfade.experiment_address"), s.secure)
	if experiment.IsValid() {
		at.experiment = experiment.String()
	}
	sess.mu.Lock()
	sess.places = at
	sess.own = translate.ProxyFiles{Certificate: metadata(node, "crossfade.tls_certificate"), Key: metadata(node, "crossfade.tls_key"), CA: metadata(node, "crossfade.tls_ca")}
	sess.mu.Unlock()
	fleet.add(sess, id, version, bootstrap)
	s.log.Info("proxy connected", "proxy", id, "fleet", cluster, "remote", sess.remote, "envoy", version)
	if err != nil {
		s.log.Warn("no experiments through this proxy: node metadata crossfade.experiment_address is not usable", "proxy", id, "fleet", cluster, "error", err)
	}
	if s.onConnect != nil {
		s.onConnect(cluster, id, true)
	}
	return nil
}

// fleetOf finds the fleet that a proxy names, within bounds.
func (s *Server) fleetOf(name string) (*Fleet, error) {
	s.mu.Lock()
	_, known := s.fleets[name]
	unknown := 0
	for _, f := range s.fleets {
		if !f.named() {
			unknown++
		}
	}
	s.mu.Unlock()
	if !known && unknown >= maxUnknownFleets {
		return nil, status.Errorf(codes.ResourceExhausted, "node.cluster %q: no document names this fleet, and %d such fleets are known already; apply one of this name first", name, unknown)
	}
	return s.Fleet(name), nil
}

func metadata(node *core.Node, key string) string {
	return node.GetMetadata().GetFields()[key].GetStringValue()
}
