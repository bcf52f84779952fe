package statsim

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crossfade-proxy/crossfade/deploy/envoy"
)

// Latencies are lognormal, with a mean of 60 ms and a p99 of 202 ms.
const (
	median    = 50  // milliseconds
	deviation = 0.6 // of the logarithms
)

// shape is a distribution of latencies in the buckets of the bootstrap.
type shape struct {
	upTo   []float64 // share of the requests in this bucket and those before it
	bounds []byte    // the field of a point that has the buckets' bounds
	mean   float64   // milliseconds
}

// usual is the shape of all clusters.
var usual = sync.OnceValue(func() *shape {
	s := &shape{mean: median * math.Exp(deviation*deviation/2)}
	limits := limits()
	s.bounds = nested(nil, bounds, func(b []byte) []byte {
		for _, limit := range limits {
			b = protowire.AppendFixed64(b, math.Float64bits(limit))
		}
		return b
	})
	for _, limit := range limits {
		s.upTo = append(s.upTo, 0.5*math.Erfc(-math.Log(limit/median)/deviation/math.Sqrt2))
	}
	s.upTo = append(s.upTo, 1) // above the last bound
	return s
})

// spread appends how many of n requests are in each bucket: as near to the shape as whole requests allow.
func (s *shape) spread(b []byte, n uint64) []byte {
	var before uint64
	for _, share := range s.upTo {
		upTo := uint64(math.Round(share * float64(n)))
		b = protowire.AppendFixed64(b, upTo-before)
		before = upTo
	}
	return b
}

var bucketLine = regexp.MustCompile(`buckets: \[(.*)\]`)

// limits are the upper bounds of buckets, in milliseconds, as bootstraps set them.
func limits() (out []float64) {
	var boot bytes.Buffer
	if err := envoy.Render(&boot, envoy.Bootstrap{NodeID: "proxy", XDSAddress: "127.0.0.1:18000"}); err != nil {
		panic(err) // the arguments are fixed
	}
	for bound := range strings.SplitSeq(bucketLine.FindStringSubmatch(boot.String())[1], ", ") {
		v, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			panic(err) // deploy/envoy writes numbers
		}
		out = append(out, v)
	}
	return out
}
