package policy

import "time"

// Mirror is a compiled experiment. Like a [Service] it is immutable.
type Mirror struct {
	Name, Service string
	Mode          MirrorMode
	Control       string // origin; empty for Dark, and for Compare where the document leaves it to the primary: see [Mirror.For]
	Candidate     string // origin
	Share         BasisPoints
	MaxRPS        int      // copies per second that are asked again; 0: a tenth of what control gets live
	Methods       []string // sorted; empty if only gRPC methods are copied
	GRPCMethods   []string // "/shop.Orders/Get", sorted
	PathPrefixes  []string // as those of a service; empty: all
	Headers       []Match  // all must match
	NoiseShare    BasisPoints
	Duration      time.Duration
	Learn         time.Duration // at the start, nobody is asked for so long
	BodyCap       int           // bytes of each body that are compared
	Stop          MirrorStop
	Rules         []MirrorRule // in the order written
	Endpoints     []string     // templates of paths
	Compare       []string     // the only headers of answers that are compared, lower case; empty: the usual ones
	Keep          []string     // headers with credentials that stay in copies, lower case
	Identity      string       // of the server's settings; empty: none
	Values        []string     // places whose values may be shown
	Allow         []string     // paths, by prefix, that are asked whatever they look like
	Exclude       []string     // paths, by prefix, that are not asked
	MinPairs      int
	OneBody       bool   // control may give one body to nearly all paths
	Descriptors   []byte // a FileDescriptorSet; nil: none
	Reflection    bool   // control is asked for descriptors
	Run           MirrorRun
}

// MirrorMode is what an experiment does with the answers.
type MirrorMode string

// The modes of experiments.
const (
	Compare MirrorMode = "compare" // both origins are asked, and their answers compared
	Dark    MirrorMode = "dark"    // the candidate alone is asked
)

// MirrorStop ends an experiment early.
type MirrorStop struct {
	CandidateErrors  int
	CandidateLatency time.Duration // 99th percentile over 10 s; 0: none
	ControlRefusals  int           // answers 429 or 503 within 10 s
}

// MirrorRule is a rule as a user writes it; what it means is package rule's of pkg/shadow.
type MirrorRule struct {
	Endpoint, Path, Action string
	Abs, Rel               float64
	Window                 time.Duration
	Pattern, Key           string
}

// MirrorRun is one run of an experiment; zero before it was started.
type MirrorRun struct {
	ID      string
	Started time.Time
	Ended   time.Time // zero while it runs
	Why     string    // it ended
	Detail  string
}

// Running says whether the experiment is to be worked on.
func (m *Mirror) Running() bool { return m != nil && m.Run.ID != "" && m.Run.Ended.IsZero() }

// Ends is when it ends by itself.
func (m *Mirror) Ends() time.Time { return m.Run.Started.Add(m.Duration) }

// What proxies and comparators say to each other, in headers of copies and of requests to the experiment listener.
const (
	HeaderShadow = "x-shadow"    // marks a copy, wherever it goes: it is never copied again
	HeaderMirror = "x-cf-mirror" // of a copy: "MIRROR/RUN"
	HeaderProxy  = "x-cf-proxy"  // of a copy: node.id of the proxy that made it
	HeaderSent   = "x-cf-sent"   // of a copy: when the request came, in seconds since 1970 with three digits behind the point
	HeaderTarget = "x-cf-target" // of a request to the experiment listener: the cluster to ask, see [ShadowClusterName]
	HeaderVia    = "x-cf-via"    // of an answer of the experiment listener: node.id of the proxy that gave it
)

// NoShadowCluster is a target that no cluster has: the experiment listener answers by itself, and no origin hears of it. Clusters of origins
// have a "/" in their names.
const NoShadowCluster = "nobody" + shadowMark

// What comparators tell the server at most, and what it takes.
const (
	MaxComparatorRuns = 256  // in one message: those that are worked on, and those whose last counts are on their way
	MaxSeenText       = 2048 // bytes of each text of a path that was seen: a prefix or a template of a document, and words about it
)

// ComparatorCluster is the cluster of the comparators. No service can have a cluster of this name.
const ComparatorCluster = "@comparator"

// ComparatorReadyPath is where a comparator says whether copies are welcome: proxies ask, and send none to one that is not.
const ComparatorReadyPath = "/.crossfade/ready"

// shadowMark ends the names of clusters that only copies are sent to.
const shadowMark = "@shadow"

// ShadowClusterName is the cluster through which an origin is asked again.
func ShadowClusterName(service, origin string) string {
	return ClusterName(service, origin) + shadowMark
}

// MirrorKey is the runtime key of the share of an experiment.
func MirrorKey(service, mirror string) string { return "m." + service + "." + mirror }

// MaxMirrorBody is the longest body, in bytes, of a request that is copied. The length has to be declared: a copy that nobody takes holds
// up the upload that it is made of, from about 1.5 MB on.
const MaxMirrorBody = 256 << 10
