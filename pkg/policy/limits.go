package policy

import "time"

// Bounds of what one document may ask of a proxy. They are far above ordinary use; each keeps the cost of one service bounded.
const (
	MaxNameBytes     = 63     // of a service, fleet, origin or pin: they end up in names of clusters and runtime keys
	MaxFleets        = 16     // per service
	MaxHosts         = 64     // per service
	MaxPathPrefixes  = 16     // per service
	MaxPrefixBytes   = 1024   // per path prefix
	MaxOrigins       = 16     // per service
	MaxEndpoints     = 10_000 // per origin
	MaxPins          = 64     // per service
	MaxValueBytes    = 1024   // of a value that a pin looks for, or a name that it looks at
	MaxRegexBytes    = 1024   // of a pin's expression
	MaxRegexProgram  = 100    // Envoy's limit for the size of a compiled expression, see RegexProgramSize
	MaxStatusRanges  = 16     // per health check
	MaxStatusCodes   = 32     // per retry policy
	MaxRetryAttempts = 10
	MaxOtherOrigin   = 1000 // tries at the other origin that a proxy has under way
	MaxThreshold     = 1000 // of health checks and outlier detection
	MaxTrustedHops   = 16
	MaxForeignBytes  = 512 // of a name in ECS, Cloud Map or Kubernetes, or of a file on a proxy's machine
	MaxResolvers     = 8   // per origin
	MaxListeners     = 64  // per fleet
	MaxCertificates  = 64  // per listener
)

// Bounds of an experiment. What is bounded here is asked of origins, or kept by comparators.
const (
	MaxMirrorHeaders     = 16   // conditions on headers, and headers that are kept
	MaxMirrorGRPCMethods = 32   // full names of gRPC methods
	MaxMirrorPaths       = 64   // paths that are allowed, and paths that are excluded
	MaxMirrorRules       = 128  // rules
	MaxMirrorEndpoints   = 256  // templates of paths
	MaxMirrorCompare     = 64   // headers of answers, if only these are compared
	MaxMirrorValues      = 256  // places whose values may be shown
	MaxMirrorPlaceBytes  = 1024 // of a template, of a place in answers, and of each part of a rule
	MaxMirrorRPS         = 100_000
	MaxMirrorPairs       = 100_000_000 // that a verdict may ask for
	MaxMirrorErrors      = 1_000_000   // answers before an experiment ends
	MaxMirrorDescriptors = 1 << 20     // bytes
	MinMirrorBodyCap     = 1 << 10     // bytes
	MaxMirrorBodyCap     = 16 << 20    // bytes
)

// MaxMirrorDuration is how long an experiment runs at most.
const MaxMirrorDuration = 720 * time.Hour

// MinMirrorDuration is how long an experiment runs at least, if nobody stops it.
const MinMirrorDuration = time.Second

// MaxDuration is the longest duration that a document may hold.
const MaxDuration = 365 * 24 * time.Hour

// MinHealthInterval is the shortest time between two health checks of one endpoint.
const MinHealthInterval = 100 * time.Millisecond
