package truth

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// Config says what is true.
type Config struct {
	Seed   uint64
	World  shadowtest.Options
	Manner Manner
}

// Truth is two origins that run. Their logs stay readable after [Truth.Close].
type Truth struct {
	Control, Candidate *Origin
	world              *shadowtest.World
	config             Config
}

// Start starts both on hosts of their own. They speak HTTP/1.1 and HTTP/2 in clear text.
func Start(c Config) (*Truth, error) {
	t := &Truth{world: shadowtest.New(c.Seed, c.World), config: c}
	var err error
	if t.Control, err = t.start("control"); err != nil {
		return nil, err
	}
	if t.Candidate, err = t.start("candidate"); err != nil {
		t.Control.close()
		return nil, err
	}
	return t, nil
}

// Close ends both, with every connection.
func (t *Truth) Close() {
	t.Control.close()
	t.Candidate.close()
}

// Part is what of a world one service answers.
type Part int

// The parts: a service speaks one of them.
const (
	HTTP Part = iota // all endpoints but the method of gRPC
	GRPC             // that method
)

// has says whether a path or its template is of a part.
func (p Part) has(path string) bool { return (path == shadowtest.GRPCPath) == (p == GRPC) }

// Planted are the places of a part where the candidate differs.
func (t *Truth) Planted(p Part) []shadowtest.Place {
	if t.config.World.Rate == 0 {
		return nil
	}
	return slices.DeleteFunc(t.world.Planted(), func(at shadowtest.Place) bool { return !p.has(at.Endpoint) })
}

// Undescribed are places as one sees them who has no descriptors: fields of messages have numbers in place of names, and nothing else is known of
// them.
func Undescribed(places []shadowtest.Place) []shadowtest.Place {
	out := slices.Clone(places)
	for i, p := range out {
		if letter, ok := strings.CutPrefix(p.Path, "$.field_"); ok && GRPC.has(p.Endpoint) {
			out[i].Kind, out[i].Path = "proto_unknown", fmt.Sprintf("$.#%d", letter[0]-'a'+1)
		}
	}
	return out
}

// Requests makes requests for a part, as [loadgen.Config] wants them: each has credentials, and lets the origin compress.
func (t *Truth) Requests(p Part, host string, seed uint64) func(uint64) loadgen.Request {
	r := rand.New(rand.NewPCG(seed, 0xa5c))
	return func(uint64) loadgen.Request {
		q := t.world.Ask(r)
		for !p.has(q.Path) {
			q = t.world.Ask(r)
		}
		out := loadgen.Request{Method: q.Method, Path: q.Path, Host: host, Header: [][2]string{
			{"authorization", "Bearer of-a-test"}, {"cookie", "session=of-a-test"}, {"accept-encoding", "gzip"}, {"user-agent", "truth"},
		}}
		if p == GRPC {
			out.Header = append(out.Header[:2], [2]string{"content-type", "application/grpc"}, [2]string{"te", "trailers"})
			out.Body = frame(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), q.ID))
		}
		return out
	}
}

// frame puts a message into the frame of gRPC.
func frame(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// asked is the request of the world that a request over HTTP is. What tells two of them apart is in the path, or in the message of gRPC, so that
// the same one asked again gets the same answer, but for noise.
func asked(r *http.Request, body []byte) shadowtest.Request {
	q := shadowtest.Request{Method: r.Method, Path: r.URL.Path}
	if GRPC.has(q.Path) {
		if len(body) > 5 {
			if _, _, n := protowire.ConsumeTag(body[5:]); n > 0 {
				q.ID, _ = protowire.ConsumeVarint(body[5+n:])
			}
		}
		return q
	}
	q.ID, _ = strconv.ParseUint(q.Path[strings.LastIndexByte(q.Path, '/')+1:], 10, 64) // 0 for paths that are not of the world
	return q
}

// Hold holds what was found against what was planted. Where a difference is planted, one of another kind may follow from it: noise at a field
// that the difference removes, say.
func Hold(planted, found []shadowtest.Place) (missed, invented []shadowtest.Place) {
	for _, p := range planted {
		if !slices.Contains(found, p) {
			missed = append(missed, p)
		}
	}
	for _, f := range found {
		if !slices.ContainsFunc(planted, func(p shadowtest.Place) bool { return p.Endpoint == f.Endpoint && p.Path == f.Path }) {
			invented = append(invented, f)
		}
	}
	return missed, invented
}
