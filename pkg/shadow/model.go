package shadow

import (
	"fmt"
	"time"
)

// Failure is why an origin gave no answer, or not all of it; empty if it did.
type Failure string

// The classes of failures.
const (
	Refused   Failure = "refused"   // no connection
	Reset     Failure = "reset"     // the connection or stream ended before the answer began
	Timeout   Failure = "timeout"   // no answer in time
	Truncated Failure = "truncated" // the answer ended before its end
	Protocol  Failure = "protocol"  // what came was not HTTP, or TLS failed
)

// Answer is what an origin said. It holds content, so it prints as nothing; it is not kept.
type Answer struct {
	Failure Failure
	Status  int
	// Headers and Trailers in the form of net/http.Header.
	Headers, Trailers map[string][]string
	// Body is as much of the body as was read: all, or a prefix if OverCap is set. Without its content-encoding, see [Decode]; if that could
	// not be undone, Encoded is set.
	Body    []byte
	OverCap bool
	Encoded bool
	// Length of the whole body in bytes; -1 if it is not known.
	Length int64
	// Duration until the answer was complete, or failed.
	Duration time.Duration
}

// Pair is one mirrored request with the answers to it. It is not kept.
type Pair struct {
	Method string
	// Path with or without its query. The whole counts when paths are told apart; only its template is ever shown.
	Path               string
	Control, Candidate *Answer
	// Second is what control answered when asked again; nil if it was not.
	Second *Answer
	// Chosen says why control was asked again.
	Chosen Chosen
}

// Chosen is why control was asked twice.
type Chosen uint8

// Why control was asked twice. The answer counts for the rate of noise only if it was by chance.
const (
	ByChance     Chosen = iota // decided before anything was known of the answers, and asked at the same time as the others
	ByDifference               // because control and candidate differ, see [Tally.Wants]
)

// Format prints nothing of the content.
func (Answer) Format(s fmt.State, _ rune) { fmt.Fprint(s, "answer") }

// MarshalJSON writes nothing of the content.
func (Answer) MarshalJSON() ([]byte, error) { return []byte(`"answer"`), nil }

// Format prints nothing of the content.
func (Pair) Format(s fmt.State, _ rune) { fmt.Fprint(s, "pair") }

// MarshalJSON writes nothing of the content.
func (Pair) MarshalJSON() ([]byte, error) { return []byte(`"pair"`), nil }

// Kind is how two answers differ.
type Kind string

// The kinds of differences. What is missing or added is so on the side of the candidate.
const (
	KindFailure       Kind = "failure" // one side failed, or both differently
	KindStatus        Kind = "status"
	KindContentType   Kind = "content_type"
	KindHeaderMissing Kind = "header_missing"
	KindHeaderAdded   Kind = "header_added"
	KindHeaderChanged Kind = "header_changed"
	KindCookie        Kind = "cookie" // another set of cookies, or other attributes
	KindTrailer       Kind = "trailer"
	KindGRPCStatus    Kind = "grpc_status"
	KindBody          Kind = "body"     // one side has none
	KindLength        Kind = "length"   // of bodies that were not compared to their end
	KindOverCap       Kind = "over_cap" // one side is longer than what is read
	KindInvalid       Kind = "invalid"  // one side cannot be read as what it says it is
	KindJSONMissing   Kind = "json_missing"
	KindJSONAdded     Kind = "json_added"
	KindJSONType      Kind = "json_type"
	KindJSONValue     Kind = "json_value"
	KindJSONNumber    Kind = "json_number" // beyond what is tolerated
	KindJSONLength    Kind = "json_length" // of an array
	KindJSONOrder     Kind = "json_order"  // of an array
	KindText          Kind = "text"
	KindBinary        Kind = "binary"
	KindProtoMissing  Kind = "proto_missing"
	KindProtoAdded    Kind = "proto_added"
	KindProtoValue    Kind = "proto_value" // or its type
	KindProtoLength   Kind = "proto_length"
	KindProtoOrder    Kind = "proto_order"
	KindProtoUnknown  Kind = "proto_unknown" // anything about a field that no descriptor names
	KindLimit         Kind = "limit"         // too many differences, or a comparison that was given up
)

// mirrored is the kind of the same difference with both sides exchanged.
func (k Kind) mirrored() Kind {
	switch k {
	case KindHeaderMissing:
		return KindHeaderAdded
	case KindHeaderAdded:
		return KindHeaderMissing
	case KindJSONMissing:
		return KindJSONAdded
	case KindJSONAdded:
		return KindJSONMissing
	case KindProtoMissing:
		return KindProtoAdded
	case KindProtoAdded:
		return KindProtoMissing
	}
	return k
}

// Difference is one way in which two answers differ, at one place.
type Difference struct {
	Kind Kind
	// Path is "status", "failure", "body", "header:NAME", "trailer:NAME", or a place in the document like "$.items[*].price".
	Path string
	// Control and Candidate are the shapes of the first such values.
	Control, Candidate Shape
	// Count is how often it occurs in this answer: in each element of an array, say.
	Count int
	// Must says that a rule demands equality here.
	Must bool
}

// MaxDifferences is how many places of one pair are told apart.
const MaxDifferences = 128
