package shadow

import (
	"fmt"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/tree"
)

// Options are the settings of an experiment that say how answers are compared.
type Options struct {
	// Key of the hashes, at least 16 bytes: one for each experiment, kept apart from reports.
	Key   []byte
	Rules []rule.Rule
	// Endpoints are templates of paths that are known; others are learned.
	Endpoints []string
	// Headers, if given, are the only ones that are compared. Otherwise all are, but those that differ between any two servers.
	Headers []string
	// Values are the paths whose values may be shown, as they are in reports: "$.state", "header:cache-control". Only those with the right
	// to see them may set these.
	Values []string
	// Descriptors of gRPC services; nil if there are none.
	Descriptors *Descriptors
}

// MinKeyBytes is how long the key of an experiment is at least.
const MinKeyBytes = 16

// Comparer compares answers. It is not safe for concurrent use, and reuses its memory: one for each worker.
type Comparer struct {
	rules   *rule.Rules
	views   map[uint64]*rule.View
	hashes  hasher
	headers map[string]bool // the only ones that are compared; nil for the usual ones
	values  map[string]bool
	descs   *Descriptors

	differ  *tree.Differ
	a, b    tree.Doc
	paths   map[string]string // paths that were met before
	textA   []byte
	textB   []byte
	framesA [][2]int
	framesB [][2]int

	out   []Difference // what is being found
	first int          // where in out the present pair of answers begins
	last  int          // the place that was found last
	proto bool         // documents are protobuf
}

// Bounds of what a comparer remembers.
const (
	maxPaths = 8192
	maxViews = 256
	// MaxValues is how many paths may be allowed.
	MaxValues = 256
)

// NewComparer checks options and returns a comparer.
func NewComparer(o Options) (*Comparer, policy.Errors) {
	rules, errs := rule.Compile(o.Rules)
	if len(o.Key) < MinKeyBytes {
		errs = append(errs, &policy.Error{Kind: policy.Internal, Code: "key_short", Field: "key", Message: fmt.Sprintf("the key of hashes has less than %d bytes", MinKeyBytes)})
	}
	if len(o.Values) > MaxValues {
		errs = append(errs, &policy.Error{Kind: policy.Invalid, Code: "too_many", Field: "values", Message: fmt.Sprintf("has %d paths; at most %d are allowed", len(o.Values), MaxValues)})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	c := &Comparer{rules: rules, views: map[uint64]*rule.View{}, hashes: newHasher(o.Key), values: map[string]bool{}, descs: o.Descriptors, paths: map[string]string{}}
	for _, v := range o.Values {
		c.values[v] = true
	}
	if len(o.Headers) > 0 {
		c.headers = map[string]bool{}
		for _, h := range o.Headers {
			c.headers[lower(h)] = true
		}
	}
	c.differ = tree.NewDiffer(c.found)
	return c, nil
}

// view returns the rules for a path.
func (c *Comparer) view(path string) *rule.View {
	mask := c.rules.Mask(path)
	v, ok := c.views[mask]
	if !ok {
		if len(c.views) >= maxViews {
			clear(c.views)
		}
		v = c.rules.View(mask)
		c.views[mask] = v
	}
	return v
}

// compare appends what differs between two answers to a request.
func (c *Comparer) compare(dst []Difference, p *Pair, a, b *Answer) []Difference {
	c.out, c.first, c.last = dst, len(dst), len(dst)
	c.answers(p, a, b, c.view(p.Path))
	out := c.out
	c.out = nil
	return out
}

func (c *Comparer) answers(p *Pair, a, b *Answer, v *rule.View) {
	if a.Failure != "" || b.Failure != "" {
		if a.Failure != b.Failure {
			c.add(KindFailure, "failure", c.outcomeShape(a), c.outcomeShape(b), false)
		}
		return
	}
	if a.Status != b.Status && !ignores(v.Status()) {
		c.add(KindStatus, "status", c.outcomeShape(a), c.outcomeShape(b), demands(v.Status()))
		return // all else follows from that
	}
	c.compareHeaders(a, b, v)
	c.compareTrailers(a, b, v)
	if p.Method != "HEAD" {
		c.compareBodies(p, a, b, v)
	}
}

func ignores(r *rule.Compiled) bool { return r != nil && r.Action == rule.Ignore }

func demands(r *rule.Compiled) bool { return r != nil && r.Action == rule.MustEqual }

// outcomeShape is the status or the failure of an answer.
func (c *Comparer) outcomeShape(a *Answer) Shape {
	if a.Failure != "" {
		return Shape{Type: "failure", Value: known(a.Failure)}
	}
	return Shape{Type: "status", Value: statusText(a.Status)}
}

// known is a failure's name if it is one of ours.
func known(f Failure) string {
	switch f {
	case Refused, Reset, Timeout, Truncated, Protocol:
		return string(f)
	}
	return "other"
}

// add notes a difference, or one more of a kind and place.
func (c *Comparer) add(k Kind, path string, a, b Shape, must bool) {
	if i := index(c, k, path); i >= 0 {
		c.again(i, must)
	} else {
		c.append(Difference{Kind: k, Path: path, Control: a, Candidate: b, Count: 1, Must: must})
	}
}

func (c *Comparer) again(i int, must bool) {
	c.out[i].Count++
	c.out[i].Must = c.out[i].Must || must
	c.last = i
}

// index is where a place is among those found; -1 if it is not. It looks first behind the last one: arrays repeat themselves.
func index[T string | []byte](c *Comparer, k Kind, path T) int {
	n := len(c.out) - c.first
	for i := range n {
		at := c.first + (c.last-c.first+1+i)%n
		if d := &c.out[at]; d.Kind == k && d.Path == string(path) {
			return at
		}
	}
	return -1
}

func (c *Comparer) append(d Difference) {
	switch n := len(c.out) - c.first; {
	case n < MaxDifferences:
		c.out = append(c.out, d)
	case n == MaxDifferences:
		c.out = append(c.out, Difference{Kind: KindLimit, Path: "(more)", Count: 1})
	default:
		c.out[len(c.out)-1].Count++
	}
}

// found takes a difference between two documents.
func (c *Comparer) found(f tree.Found) {
	k := jsonKinds[f.Kind]
	if c.proto {
		k = protoKind(f)
	}
	if i := index(c, k, f.Path); i >= 0 {
		c.again(i, f.Must)
		return
	}
	path := c.path(f.Path)
	c.last = len(c.out)
	c.append(Difference{Kind: k, Path: path, Control: c.itemShape(path, f.Control), Candidate: c.itemShape(path, f.Other), Count: 1, Must: f.Must})
}

// path returns a path as a string, the same one as the last time.
func (c *Comparer) path(b []byte) string {
	if s, ok := c.paths[string(b)]; ok {
		return s
	}
	if len(c.paths) >= maxPaths {
		clear(c.paths)
	}
	s := string(b)
	c.paths[s] = s
	return s
}

// itemShape is the shape of a value of a document.
func (c *Comparer) itemShape(path string, i tree.Item) Shape {
	s := Shape{Type: i.Type, Length: i.Length}
	switch {
	case i.Bytes == nil || i.Type == "null":
	case c.values[path]:
		s.Value = clip(string(i.Bytes), MaxValue)
	default:
		s.Hash = c.hashes.text(i.Bytes)
	}
	return s
}

// jsonKinds are the kinds of differences between documents of JSON.
var jsonKinds = [...]Kind{
	tree.Missing: KindJSONMissing, tree.Added: KindJSONAdded, tree.Type: KindJSONType, tree.Value: KindJSONValue,
	tree.Number: KindJSONNumber, tree.Length: KindJSONLength, tree.Order: KindJSONOrder, tree.Limit: KindLimit,
}

// protoKind is the kind of a difference between messages of protobuf.
func protoKind(f tree.Found) Kind {
	for i, b := range f.Path {
		if b == '#' && i > 0 && (f.Path[i-1] == '.' || f.Path[i-1] == '\'') {
			return KindProtoUnknown
		}
	}
	switch f.Kind {
	case tree.Missing:
		return KindProtoMissing
	case tree.Added:
		return KindProtoAdded
	case tree.Length:
		return KindProtoLength
	case tree.Order:
		return KindProtoOrder
	case tree.Limit:
		return KindLimit
	}
	return KindProtoValue
}
