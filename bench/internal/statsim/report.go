package statsim

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// asked is a cluster of which the server wants to hear.
type asked struct {
	index int
	since time.Time // its last report, or from when on it was asked for
}

// Ask changes the clusters of which load reports tell. Those that were asked for before go on; others begin now. What is not known is left out.
func (p *Proxy) Ask(clusters []string, now time.Time) {
	p.count(now)
	before := map[int]time.Time{}
	for _, a := range p.asked {
		before[a.index] = a.since
	}
	p.asked = p.asked[:0]
	for _, name := range clusters {
		i, ok := p.index[name]
		if !ok {
			continue
		}
		since, ok := before[i]
		if !ok {
			since = now
			p.counters[i].reported = p.counters[i].sum()
		}
		p.asked = append(p.asked, asked{i, since})
	}
}

// Report appends the load reports of what was asked, as the fields of a LoadStatsRequest after its node, and says how many clusters these are.
func (p *Proxy) Report(b []byte, now time.Time) ([]byte, int) {
	p.count(now)
	for i := range p.asked {
		a := &p.asked[i]
		c := &p.counters[a.index]
		fresh := c.sum().since(c.reported)
		c.reported = c.sum()
		b = nested(b, 2, func(b []byte) []byte { return clusterStats(b, p.clusters[a.index], fresh, now.Sub(a.since)) })
		a.since = now
	}
	return b, len(p.asked)
}

// clusterStats appends the content of a ClusterStats.
func clusterStats(b []byte, c Cluster, fresh sum, length time.Duration) []byte {
	b = text(b, 1, c.Name)
	if fresh.done > 0 {
		b = nested(b, 2, func(b []byte) []byte { // UpstreamLocalityStats
			b = nested(b, 1, func(b []byte) []byte { return b }) // locality: none
			b = tries(b, fresh, 8)
			return nested(b, 7, func(b []byte) []byte { // UpstreamEndpointStats
				b = nested(b, 1, func(b []byte) []byte {
					return nested(b, 1, func(b []byte) []byte { return varint(text(b, 2, c.Address), 3, uint64(c.Port)) })
				})
				return tries(b, fresh, 7)
			})
		})
	}
	b = nested(b, 4, func(b []byte) []byte {
		return varint(varint(b, 1, uint64(length/time.Second)), 2, uint64(length%time.Second))
	})
	return text(b, 6, c.Name)
}

// tries appends what became of requests; issued is the number of the field that counts all.
func tries(b []byte, fresh sum, issued protowire.Number) []byte {
	return varint(varint(varint(b, 2, fresh.done-fresh.failed), 4, fresh.failed), issued, fresh.done)
}

// question is what a LoadStatsResponse asks for.
type question struct {
	clusters []string
	interval time.Duration
}

// readQuestion reads a LoadStatsResponse.
func readQuestion(b []byte) (q question, err error) {
	err = fields(b, func(num protowire.Number, value []byte, _ uint64) error {
		switch num {
		case 1:
			q.clusters = append(q.clusters, string(value))
		case 2:
			return fields(value, func(num protowire.Number, _ []byte, v uint64) error {
				q.interval += time.Duration(v) * map[protowire.Number]time.Duration{1: time.Second, 2: time.Nanosecond}[num]
				return nil
			})
		}
		return nil
	})
	return q, err
}

// fields gives each field of a message to a function: its bytes, or its number.
func fields(b []byte, each func(num protowire.Number, value []byte, v uint64) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var value []byte
		var v uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := each(num, value, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
