package shadow

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

var key = []byte("0123456789abcdef")

// answer makes an answer: a status, headers as "name: value" and a body.
func answer(status int, body string, headers ...string) *Answer {
	a := &Answer{Status: status, Body: []byte(body), Length: int64(len(body)), Headers: map[string][]string{}, Trailers: map[string][]string{}, Duration: time.Millisecond}
	for _, h := range headers {
		n, v, _ := strings.Cut(h, ": ")
		to := a.Headers
		if t, ok := strings.CutPrefix(n, "trailer:"); ok {
			n, to = t, a.Trailers
		}
		to[canonical(n)] = append(to[canonical(n)], v)
	}
	return a
}

func asJSONOf(body string) *Answer { return answer(200, body, "content-type: application/json") }

func overCap(a *Answer, length int64) *Answer {
	a.OverCap, a.Length = true, length
	return a
}

func failed(f Failure) *Answer { return &Answer{Failure: f} }

// differences are what a comparer says of two answers, kind and path each.
func differences(t testing.TB, o Options, p *Pair) string {
	t.Helper()
	o.Key = key
	c, errs := NewComparer(o)
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	var out []string
	for _, d := range c.Judge(p, Live{}, nil).Differences {
		s := fmt.Sprintf("%s %s", d.Kind, d.Path)
		if d.Must {
			s += " must"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestAnswersAreCompared(t *testing.T) {
	png := answer(200, "\x89PNG\x00\x01", "content-type: image/png")
	for name, c := range map[string]struct {
		a, b  *Answer
		want  string
		rules []rule.Rule
	}{
		"nothing":               {a: answer(200, "x", "date: 1", "server: a"), b: answer(200, "x", "date: 2", "server: b")},
		"status, and no more":   {a: asJSONOf(`{}`), b: answer(500, "oops"), want: "status status"},
		"status by rule":        {a: answer(200, ""), b: answer(204, ""), rules: []rule.Rule{{Path: "status", Action: rule.Ignore}}},
		"failure":               {a: answer(200, ""), b: failed(Timeout), want: "failure failure"},
		"header missing":        {a: answer(200, "", "x-total: 1"), b: answer(200, ""), want: "header_missing header:x-total"},
		"header added":          {a: answer(200, ""), b: answer(200, "", "x-total: 1"), want: "header_added header:x-total"},
		"header changed":        {a: answer(200, "", "x-total: 1"), b: answer(200, "", "x-total: 2"), want: "header_changed header:x-total"},
		"header by rule":        {a: answer(200, "", "x-total: 1"), b: answer(200, "", "x-total: 2"), rules: []rule.Rule{{Path: "header:X-Total", Action: rule.Tolerate, Abs: 1}}},
		"header that must":      {a: answer(200, "", "x-total: 1"), b: answer(200, "", "x-total: 2"), want: "header_changed header:x-total must", rules: []rule.Rule{{Path: "header:x-total", Action: rule.MustEqual}}},
		"lists":                 {a: answer(200, "", "vary: Accept, Origin"), b: answer(200, "", "vary: origin,accept")},
		"a name that is none":   {a: answer(200, "", "x-41234123: 1"), b: answer(200, ""), want: "header_missing header:{name}"},
		"content type":          {a: answer(200, "", "content-type: text/html; charset=utf-8"), b: answer(200, "", "content-type: text/html"), want: "content_type header:content-type"},
		"content type, spaces":  {a: answer(200, "", "content-type: text/html; charset=utf-8"), b: answer(200, "", `content-type: Text/HTML;charset="UTF-8"`)},
		"cookie values":         {a: answer(200, "", "set-cookie: s=1; Path=/; Expires=Mon"), b: answer(200, "", "set-cookie: s=2; expires=Tue; path=/")},
		"cookie attributes":     {a: answer(200, "", "set-cookie: s=1; Secure"), b: answer(200, "", "set-cookie: s=2"), want: "cookie header:set-cookie"},
		"trailer":               {a: answer(200, "", "trailer:x-sum: 1"), b: answer(200, ""), want: "trailer trailer:x-sum"},
		"grpc status":           {a: answer(200, "", "trailer:grpc-status: 0"), b: answer(200, "", "grpc-status: 13"), want: "grpc_status trailer:grpc-status"},
		"body gone":             {a: asJSONOf(`{}`), b: asJSONOf(``), want: "body body"},
		"json":                  {a: asJSONOf(`{"a":[1,2],"b":1}`), b: asJSONOf(`{"a":[1,3],"c":""}`), want: "json_number $.a[*]; json_missing $.b; json_added $.c"},
		"json that says not so": {a: answer(200, `{"a":1}`), b: answer(200, `{"a":2}`), want: "json_number $.a"},
		"json on one side":      {a: asJSONOf(`{"a":1}`), b: asJSONOf(`<html>`), want: "invalid body"},
		"no json":               {a: asJSONOf(`<a>`), b: asJSONOf(`<html>`), want: "text body"},
		"text":                  {a: answer(200, "one"), b: answer(200, "two"), want: "text body"},
		"text by rule":          {a: answer(200, `<i t="123">`), b: answer(200, `<i t="9">`), rules: []rule.Rule{{Path: "body", Action: rule.Tolerate, Pattern: `t="\d+"`}}},
		"binary":                {a: png, b: answer(200, "\x89PNG\x00\x02", "content-type: image/png"), want: "binary body"},
		"encoded":               {a: &Answer{Status: 200, Body: []byte(`{}`), Encoded: true}, b: &Answer{Status: 200, Body: []byte(`[]`), Encoded: true}, want: "binary body"},
		"prefix":                {a: overCap(asJSONOf(`{"a":1,"b":"xx`), 100), b: overCap(asJSONOf(`{"a":1,"b":"xxx`), 100)},
		"prefix and length":     {a: overCap(asJSONOf(`{"a":1,"b":"xx`), 100), b: overCap(asJSONOf(`{"a":2,"b":"xx`), 101), want: "json_number $.a; length body"},
		"over cap":              {a: overCap(answer(200, `abc`), -1), b: answer(200, `abc`), want: "over_cap body"},
		"bare message":          {a: answer(200, "\x08\x01", "content-type: application/x-protobuf"), b: answer(200, "\x08\x02", "content-type: application/x-protobuf"), want: "proto_unknown $.#1"},
		"endpoint of a rule":    {a: asJSONOf(`{"a":1}`), b: asJSONOf(`{"a":2}`), rules: []rule.Rule{{Endpoint: "/orders/{x}", Path: "$.a", Action: rule.Ignore}}},
		"endpoint of no rule":   {a: asJSONOf(`{"a":1}`), b: asJSONOf(`{"a":2}`), want: "json_number $.a", rules: []rule.Rule{{Endpoint: "/users/{x}", Path: "$.a", Action: rule.Ignore}}},
	} {
		p := &Pair{Method: "GET", Path: "/orders/17?q=1", Control: c.a, Candidate: c.b}
		if got := differences(t, Options{Rules: c.rules}, p); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := differences(t, Options{}, &Pair{Method: "HEAD", Path: "/", Control: answer(200, ""), Candidate: answer(200, "x")}); got != "" {
		t.Errorf("HEAD: %q", got)
	}
}

func TestManyDifferencesAreBounded(t *testing.T) {
	var a, b strings.Builder
	for i := range 3000 {
		name := string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676)})
		if i > 0 {
			a.WriteByte(',')
			b.WriteByte(',')
		}
		fmt.Fprintf(&a, `{"%s":1}`, name)
		fmt.Fprintf(&b, `{"%s":2}`, name)
	}
	c, _ := NewComparer(Options{Key: key})
	o := c.Judge(&Pair{Path: "/", Control: asJSONOf("[" + a.String() + "]"), Candidate: asJSONOf("[" + b.String() + "]")}, Live{}, nil)
	if n := len(o.Differences); n != MaxDifferences+1 || o.Differences[n-1].Kind != KindLimit || o.Differences[n-1].Count != 3000-MaxDifferences {
		t.Errorf("%d differences, the last %+v", n, o.Differences[n-1])
	}
}

// frame puts a message into a frame of gRPC.
func frame(messages ...string) string {
	var b []byte
	for _, m := range messages {
		b = append(b, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return string(b)
}

func TestDecode(t *testing.T) {
	zip := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.Bytes()
	}
	limits := DecodeLimits{Bytes: 1 << 20, Ratio: 10}
	bomb := zip(strings.Repeat("0", 1<<20))
	for name, c := range map[string]struct {
		encoding string
		body     []byte
		limits   DecodeLimits
		length   int
		over     bool
		err      error
	}{
		"gzip":      {"gzip", zip("hello"), limits, 5, false, nil},
		"identity":  {"", []byte("hello"), limits, 5, false, nil},
		"twice":     {"gzip, gzip", zip(string(zip("hello"))), limits, 5, false, nil},
		"thrice":    {"gzip, gzip, gzip", zip("hello"), limits, 0, false, ErrEncoding},
		"brotli":    {"br", []byte("hello"), limits, 0, false, ErrEncoding},
		"corrupt":   {"gzip", []byte("hello"), limits, 0, false, ErrCorrupt},
		"cut off":   {"gzip", zip(strings.Repeat("hello", 9))[:20], limits, -1, false, ErrCorrupt},
		"over cap":  {"gzip", zip("hello"), DecodeLimits{Bytes: 3, Ratio: 10}, 3, true, nil},
		"bomb":      {"gzip", bomb, limits, free, true, ErrBomb},
		"less bomb": {"gzip", bomb, DecodeLimits{Bytes: 1 << 20, Ratio: 2000}, 1 << 20, false, nil},
	} {
		got, over, err := Decode(c.encoding, c.body, c.limits)
		if c.length >= 0 && len(got) != c.length || over != c.over || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, over %v, %v", name, len(got), over, err)
		}
	}
}

// FuzzDecode: whatever is decoded stays within the limits.
func FuzzDecode(f *testing.F) {
	f.Add("gzip", []byte("\x1f\x8b\x08\x00"))
	f.Add("deflate", []byte("x\x9c"))
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		if got, _, _ := Decode(encoding, body, DecodeLimits{Bytes: 100_000, Ratio: 20}); len(got) > 100_000 {
			t.Fatal(len(got))
		}
	})
}

// FuzzReadDescriptors: whatever is read is refused or can be asked for a method.
func FuzzReadDescriptors(f *testing.F) {
	f.Add(shadowtest.Descriptors())
	f.Fuzz(func(t *testing.T, set []byte) {
		d, err := ReadDescriptors(set)
		if (d == nil) == (err == nil) {
			t.Fatal(d, err)
		}
		if d.output(shadowtest.GRPCPath) != nil {
			c, _ := NewComparer(Options{Key: key, Descriptors: d})
			a, b := answer(200, frame("\x0a\x01a"), "content-type: application/grpc"), answer(200, frame("\x0a\x01b"), "content-type: application/grpc")
			c.Judge(&Pair{Method: "POST", Path: shadowtest.GRPCPath, Control: a, Candidate: b}, Live{}, nil)
		}
	})
}

// FuzzHeaders: whatever headers say, a pair can be judged, and equal answers do not differ.
func FuzzHeaders(f *testing.F) {
	f.Add("set-cookie", "a=1; Path=/", "a=2; secure")
	f.Add("location", "/login", "https://x.test/%zz")
	f.Add("vary", "a,,b", "B , a")
	f.Fuzz(func(t *testing.T, name, a, b string) {
		c, _ := NewComparer(Options{Key: key})
		x, y := answer(302, "", name+": "+a, "trailer:"+name+": "+a), answer(302, "", name+": "+b, "trailer:"+name+": "+b)
		c.Judge(&Pair{Method: "GET", Path: a, Control: x, Candidate: y}, Live{}, nil)
		if o := c.Judge(&Pair{Method: "GET", Path: b, Control: x, Candidate: x}, Live{}, nil); len(o.Differences) > 0 {
			t.Fatal(o.Differences)
		}
	})
}

// FuzzJudge: nothing that an origin answers makes a comparer panic, and what is equal does not differ.
func FuzzJudge(f *testing.F) {
	f.Add("application/json", []byte(`{"a":1}`), []byte(`{"a":2}`), true)
	f.Add("application/grpc", []byte(frame("\x08\x01")), []byte(frame("\x08\x02", "\x0a\x01a")), false)
	f.Add("text/html", []byte("<a>"), []byte("<b>"), true)
	c, _ := NewComparer(Options{Key: key, Rules: []rule.Rule{{Path: "$.**.a", Action: rule.Set}, {Path: "$.*", Action: rule.Tolerate, Abs: 1}, {Path: "$.**.c", Action: rule.Ignore}}})
	f.Fuzz(func(t *testing.T, media string, a, b []byte, over bool) {
		x, y := answer(200, string(a), "content-type: "+media), answer(200, string(b), "content-type: "+media)
		x.OverCap = over
		o := c.Judge(&Pair{Method: "GET", Path: "/", Control: x, Candidate: y}, Live{}, nil)
		if len(o.Differences) > MaxDifferences+1 {
			t.Fatal(len(o.Differences))
		}
		if o := c.Judge(&Pair{Method: "GET", Path: "/", Control: y, Candidate: answer(200, string(b), "content-type: "+media)}, Live{}, nil); len(o.Differences) > 0 {
			t.Fatalf("%q differs from itself: %v", b, o.Differences)
		}
	})
}
