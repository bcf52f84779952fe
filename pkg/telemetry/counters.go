package telemetry

import "sync/atomic"

// counters are of the receivers themselves.
type counters struct {
	messages, bytes, dropped, placeless, reports atomic.Uint64
	refused                                      [numRefused]atomic.Uint64
}

// refusal is why a message was refused.
type refusal int

const (
	refusedMalformed refusal = iota
	refusedNameless
	refusedTooLarge
	refusedTooMany
	refusedStranger
	refusedBusy      // several of the connection wait already
	refusedAbandoned // the proxy hung up while it waited
	numRefused
)

var refusalNames = [numRefused]string{"malformed", "nameless", "too_large", "too_many", "stranger", "busy", "abandoned"}

// refuse counts a refused message and returns its error.
func (t *Telemetry) refuse(why refusal, err error) error {
	t.counters.refused[why].Add(1)
	return err
}

// Stats are counters of the receivers since the start.
type Stats struct {
	Messages         uint64            // OTLP messages
	Bytes            uint64            // of them
	LoadReports      uint64            // LRS messages
	Waiting          int               // messages of either that are not decoded yet
	Refused          map[string]uint64 // messages by reason: malformed, nameless, too_large, too_many, stranger, busy, abandoned
	DroppedClusters  uint64            // cluster × flush for which there was no place
	DroppedLatencies uint64            // cluster × flush whose histogram had none
}

// Stats returns the counters.
func (t *Telemetry) Stats() Stats {
	s := Stats{
		Messages: t.counters.messages.Load(), Bytes: t.counters.bytes.Load(), LoadReports: t.counters.reports.Load(),
		DroppedClusters: t.counters.dropped.Load(), DroppedLatencies: t.counters.placeless.Load(), Waiting: t.decoders.waiting(), Refused: map[string]uint64{},
	}
	for i, name := range refusalNames {
		s.Refused[name] = t.counters.refused[i].Load()
	}
	return s
}
