package policy

import (
	"net/netip"
	"regexp"
	"time"
)

// BasisPoints is a share in units of 0.01 %.
type BasisPoints int32

// Whole is the sum of the weights of a split: 100 %.
const Whole BasisPoints = 10_000

// DefaultFleet is the fleet of documents that name none.
const DefaultFleet = "default"

// DefaultPort is the listener port of services that name none.
const DefaultPort = 10000

// Service is a compiled service. It is immutable: whoever holds one may share it between goroutines and compare it by pointer.
type Service struct {
	Name         string
	Fleets       []string // that serve it, in the order written; most often one
	Hosts        []string // lower case, without trailing dot; "*", "*.x" or a name; sorted
	PathPrefixes []string // "/" or "/a/b" without trailing slash; sorted
	Port         int
	Primary      string
	Origins      []Origin // in the order written: it is the order of the split
	Split        Split
	Pins         []Pin // in the order written: first match wins
	Timeouts     Timeouts
	Retries      *Retries        // nil: none
	RolledBackIn []FleetRollback // fleets in which the primary has everything, whatever the split; see [Service.In]
	Mirror       *Mirror         // the experiment that runs on it; nil: none. It is no part of the document, see [Service.WithMirror]
}

// FleetRollback is a rollback in one of several fleets.
type FleetRollback struct {
	Fleet    string
	KeepPins bool // pins are as in the other fleets
}

// Origin is a compiled origin. Its endpoints come from exactly one of Static, ECS, CloudMap, Kubernetes and DNS.
type Origin struct {
	Name             string
	Protocol         Protocol
	Static           []netip.AddrPort // endpoints written in the document
	ECS              *ECSService
	CloudMap         *CloudMapService
	Kubernetes       *KubernetesService
	DNS              *DNSName // looked up by each proxy
	ConnectTimeout   time.Duration
	HealthCheck      *HealthCheck      // nil: none
	OutlierDetection *OutlierDetection // nil: none
	CircuitBreakers  CircuitBreakers
	TLS              *TLS          // nil: clear text
	SlowStart        time.Duration // for how long a new endpoint gets less than its share; 0: at once
	Capacity         int           // requests per second that one endpoint can take; 0: not said
	ZoneMinimum      int           // requests stay in the proxy's zone while this many endpoints are well there; 0: zones make no difference
}

// ECSService names tasks of Amazon ECS: exactly one of Service and Group is set.
type ECSService struct {
	Region    string // empty: that of the settings
	Cluster   string // name or ARN
	Service   string
	Group     string // task group
	Container string // empty: the only one that has the port
	Port      int    // of the container
}

// CloudMapService names a service of AWS Cloud Map.
type CloudMapService struct {
	Region    string // empty: that of the settings
	Namespace string
	Service   string
	Port      int // 0: what each instance is registered with
}

// KubernetesService names a service of a Kubernetes cluster.
type KubernetesService struct {
	Cluster   string // as the settings name it
	Namespace string
	Service   string
	Port      string // name or number; empty: the only one
}

// DNSName is a name that each proxy looks up.
type DNSName struct {
	Host      string
	Port      int
	Logical   bool             // connections go to the first address of the answer; otherwise each address is an endpoint
	Resolvers []netip.AddrPort // empty: those of the proxy's machine
}

// TLS is how connections to endpoints are encrypted.
type TLS struct {
	ServerName string   // asked for, and expected in the certificate
	CAFile     string   // on the proxy's machine
	SkipVerify bool     // whoever answers is believed
	Show       *KeyPair // the certificate that proxies show; nil: none
}

// KeyPair is a certificate and its key, in files on the proxy's machine.
type KeyPair struct{ CertificateFile, KeyFile string }

// Protocol is how a proxy talks to an origin.
type Protocol string

// The protocols towards an origin.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2" // cleartext, prior knowledge
)

// HealthCheck is an active HTTP health check.
type HealthCheck struct {
	Path               string
	Host               string
	Interval           time.Duration
	Timeout            time.Duration
	UnhealthyThreshold int
	HealthyThreshold   int
	ExpectedStatuses   []StatusRange
}

// StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct{ From, To int }

// OutlierDetection ejects endpoints that fail live requests.
type OutlierDetection struct {
	ConsecutiveFailures int
	Interval            time.Duration
	BaseEjectionTime    time.Duration
	MaxEjectionPercent  int
}

// CircuitBreakers bounds what one proxy has open towards an origin.
type CircuitBreakers struct {
	MaxConnections     int
	MaxPendingRequests int
	MaxRequests        int
	MaxRetries         int
}

// Split is how requests are divided.
type Split struct {
	Weights map[string]BasisPoints // every origin has an entry; they sum to Whole
	Sticky  *Sticky                // nil: each request is drawn on its own
}

// Sticky says by what a user is recognised: exactly one field is set.
type Sticky struct {
	Cookie        *StickyCookie
	Header        string // lower case
	ClientAddress bool
}

// StickyCookie is a cookie that keeps a user on one origin.
type StickyCookie struct {
	Name string
	TTL  time.Duration // 0: session cookie
	Path string
}

// Pin sends matching requests to one origin.
type Pin struct {
	Name    string
	Origin  string
	Enabled bool
	Match   Match
}

// MatchOn is the part of a request that a pin looks at.
type MatchOn string

// The parts of a request that a pin can look at.
const (
	OnHeader MatchOn = "header"
	OnCookie MatchOn = "cookie"
	OnQuery  MatchOn = "query"
)

// Condition is how a value is tested.
type Condition string

// The conditions on a value.
const (
	Exact   Condition = "exact"
	Prefix  Condition = "prefix"
	Regex   Condition = "regex"   // the whole value
	Present Condition = "present" // Value is "true" or "false"
)

// Match is a test of one named value of a request.
type Match struct {
	On        MatchOn
	Name      string // header names in lower case
	Condition Condition
	Value     string
	regex     *regexp.Regexp // set for Regex; leftmost-longest, see matchesWhole
}

// Timeouts bounds requests and connections; 0 means no limit.
type Timeouts struct {
	Request           time.Duration
	Idle              time.Duration
	MaxStreamDuration time.Duration
}

// Retries says when a request may be sent again to the same origin.
type Retries struct {
	On            []string // sorted; empty: none within the origin
	Attempts      int
	PerTryTimeout time.Duration
	StatusCodes   []int        // sorted
	OtherOrigin   *OtherOrigin // nil: none
}

// Fleet is the compiled settings of a fleet.
type Fleet struct {
	Name          string
	TrustedHops   int
	ProxyProtocol bool
	TLS           map[int]*ListenerTLS // by port; a port that is not there is served in clear text
}

// ListenerTLS is how a port is served by TLS.
type ListenerTLS struct {
	Certificates []KeyPair // one at least; the first is for names that none has
	ClientCAFile string    // clients have to show a certificate of these; empty: they show none
	MinVersion   string    // "1.2" or "1.3"
}

// ClusterName is the name of the Envoy cluster of an origin.
func ClusterName(service, origin string) string { return service + "/" + origin }

// WeightKeyPrefix is the runtime key prefix of a service's weights; Envoy appends "." and the name of the cluster.
func WeightKeyPrefix(service string) string { return WeightKeyRoot + "." + service }

// WeightKeyRoot is what the runtime keys of all weights begin with.
const WeightKeyRoot = "w"

// WeightKey is the runtime key of an origin's weight.
func WeightKey(service, origin string) string {
	return WeightKeyPrefix(service) + "." + ClusterName(service, origin)
}

// PinKey is the runtime key of a pin's switch.
func PinKey(service, pin string) string { return "p." + service + "." + pin }
