package comparator

import "time"

// Limits bound what a comparator takes. Zero values are the defaults.
type Limits struct {
	// Budget is for the bytes of all requests and answers at a time. Default 256 MiB.
	Budget int64
	// Connections of proxies at a time. Default 4096.
	Connections int
	// InFlight bounds the copies of one run that are being asked or judged. Default 1024.
	InFlight int
	// PerProxy bounds the requests to one origin through one proxy at a time. Default 64, as many as the proxy's cluster has connections.
	PerProxy int
	// Timeout of one answer. Default 10 s.
	Timeout time.Duration
	// Spread between the starts of the legs of a pair; beyond it the pair is dropped. Default 5 ms.
	Spread time.Duration
	// Grace is for what is in flight at the end, and for the goodbye. Default 2 s.
	Grace time.Duration

	// Tests need not wait for these.
	countsEvery time.Duration
	pause       time.Duration // before a copy is asked, and up to four times as much on top
	silence     time.Duration // without a word of the server for so long, the link is made anew
}

func (l Limits) withDefaults() Limits {
	or(&l.Budget, 256<<20)
	or(&l.Connections, 4096)
	or(&l.InFlight, 1024)
	or(&l.PerProxy, 64)
	or(&l.Timeout, 10*time.Second)
	or(&l.Spread, 5*time.Millisecond)
	or(&l.Grace, 2*time.Second)
	or(&l.countsEvery, time.Second)
	or(&l.pause, leastPause)
	or(&l.silence, 10*time.Second)
	return l
}

func or[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// Bounds that are not for choosing.
const (
	maxAge          = 2 * time.Second      // of a copy, from when its request came: what is asked later is not what live traffic asked
	maxHeaderBytes  = 64 << 10             // of a copy and of an answer; Envoy takes 60 KiB
	maxDrain        = 64 << 20             // of a body that is too long: then the connection is closed
	maxDiscard      = 256 << 20            // of an answer beyond the cap, read for its length
	readTime        = 30 * time.Second     // for a copy to arrive
	idleTime        = 10 * time.Minute     // of a connection from a proxy
	maxEarly        = 64                   // runs of which copies came before the order
	maxSeen         = 256                  // templates of paths that are listed while learning
	maxIdle         = 4096                 // connections to proxies that are kept
	callsAtOnce     = 100                  // over one connection of HTTP/2; proxies take 128
	maxStrangers    = 1024                 // places that are not what they should be
	strangerPause   = time.Second          // for which such a place is left alone
	proofTime       = time.Second          // for a connection to be made, and to prove itself
	maxIdentities   = 1 << 17              // that were asked within a second
	maxProxyID      = 256                  // bytes
	leastPause      = 5 * time.Millisecond // before a copy is asked, and up to four times as much on top: copies that came at once are not asked at once
	copyCost        = 4 << 10              // bytes that a copy takes besides its body
	replyCost       = 8 << 10              // bytes that an answer takes besides what is longer
	inflateRatio    = 200                  // of a body that is decoded
	lateCopies      = 5 * time.Second      // after its end a run is still known for so long
	refusalWindow   = 10                   // seconds
	maxOrderBytes   = 64 << 20             // of a message of the server: descriptors are up to 1 MiB for each run
	maxTallyBytes   = 8 << 20              // of tallies in one message; the others follow with the next
	identityPeriod  = time.Second          // in which one identity is asked for once
	firstBackoff    = 100 * time.Millisecond
	longestBackoff  = 2 * time.Second
	reflectionTime  = 3 * time.Second // for each version of it
	maxFiles        = 1000            // of descriptors
	burstPerSecond  = 20              // the part of the rate that may come at once is 1/20: with 1/10 jitter alone went beyond a tenth more
	maxEncodedShare = 10              // encoding a tally takes at most 1/10 of the time
)
