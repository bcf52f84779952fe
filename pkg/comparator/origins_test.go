package comparator

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

func answers(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", contentType)
		w.Header().Set("content-length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
}

func stream(n int, flush bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		for i := 0; (n < 0 || i < n) && r.Context().Err() == nil; i += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			if flush {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}

func gzipped(body []byte) http.Handler {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/json")
		w.Header().Set("content-encoding", "gzip")
		_, _ = w.Write(b.Bytes())
	})
}

func broken(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-length", "100")
	_, _ = io.WriteString(w, "abc")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func stalls(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "abc")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// TestOriginsThatMisbehave: whatever an origin does, the pair is counted as what it is, and the memory is given back.
func TestOriginsThatMisbehave(t *testing.T) {
	t.Parallel()
	good := answers("application/json", []byte(`{"a":1}`))
	abort := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	deep := []byte(strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000))
	for name, c := range map[string]struct {
		control, candidate http.Handler
		kind               shadow.Kind // "": no difference
		overCap            bool
		failed             bool // control has
		error              bool // of the candidate
	}{
		"the same":                  {control: good, candidate: good},
		"100 MB":                    {control: stream(100<<20, false), candidate: stream(100<<20, false), overCap: true},
		"100 MB against 99 MB":      {control: stream(100<<20, false), candidate: stream(99<<20, false), kind: shadow.KindLength, overCap: true},
		"endless":                   {control: good, candidate: stream(-1, true), kind: "any", overCap: true},
		"endless on both sides":     {control: stream(-1, true), candidate: stream(-1, true), overCap: true},
		"a bomb":                    {control: gzipped(make([]byte, 64<<20)), candidate: gzipped(make([]byte, 64<<20)), overCap: true},
		"gzip on one side":          {control: gzipped([]byte(`{"a":1}`)), candidate: good, kind: "any"},
		"gzip that is none":         {control: good, candidate: withHeader(good, "content-encoding", "gzip"), kind: "any"},
		"an encoding nobody knows":  {control: withHeader(good, "content-encoding", "zz"), candidate: withHeader(good, "content-encoding", "zz")},
		"hangs":                     {control: good, candidate: http.HandlerFunc(hangs), kind: shadow.KindFailure, error: true},
		"control hangs":             {control: http.HandlerFunc(hangs), candidate: good, failed: true},
		"stalls":                    {control: good, candidate: http.HandlerFunc(stalls), kind: shadow.KindFailure, error: true},
		"resets":                    {control: good, candidate: abort, kind: shadow.KindFailure, error: true},
		"breaks off":                {control: good, candidate: http.HandlerFunc(broken), kind: shadow.KindFailure, error: true},
		"is not JSON":               {control: good, candidate: answers("application/json", []byte(`{"a":`)), kind: shadow.KindInvalid},
		"NaN":                       {control: good, candidate: answers("application/json", []byte(`{"a":NaN}`)), kind: "any"},
		"huge number":               {control: good, candidate: answers("application/json", []byte(`{"a":1e999999999}`)), kind: "any"},
		"no UTF-8":                  {control: good, candidate: answers("application/json", []byte("{\"a\":\"\xff\"}")), kind: "any"},
		"duplicate keys":            {control: good, candidate: answers("application/json", []byte(`{"a":1,"a":2}`)), kind: "any"},
		"another type of content":   {control: good, candidate: answers("text/html", []byte(`{"a":1}`)), kind: shadow.KindContentType},
		"10,000 deep on both sides": {control: answers("application/json", deep), candidate: answers("application/json", append(deep, ' '))},
		"an error":                  {control: good, candidate: answersStatus(500), kind: shadow.KindStatus, error: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 2 * time.Second
			if strings.HasPrefix(name, "100 MB") {
				timeout = deadline
			}
			w := newWorld(t, c.control, c.candidate, Limits{Timeout: timeout, Spread: time.Minute})
			w.run(document(), nil)
			w.get("/a")
			r := w.awaitCounted(1)
			switch {
			case c.failed != (r.TargetFailed == 1), c.failed == (r.Compared == 1):
				t.Errorf("%+v", r)
			case c.kind == "" && len(r.Differences) > 0, c.kind != "" && !c.failed && len(r.Differences) == 0:
				t.Errorf("%+v", r.Differences)
			case c.kind != "" && c.kind != "any" && r.Differences[0].Kind != c.kind:
				t.Errorf("%+v", r.Differences[0])
			case c.overCap != (r.OverCap == 1):
				t.Errorf("over the cap: %+v", r)
			}
			w.await("for the candidate's errors", func() bool {
				got, _ := w.server.counts(w.key)
				return got.GetCandidateErrors() == map[bool]int64{true: 1}[c.error]
			})
		})
	}
}

func withHeader(h http.Handler, name, value string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		h.ServeHTTP(w, r)
	})
}

func answersStatus(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func TestOriginsThatRefuseConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.proxy.origins["shop/eks@shadow"].Close()
	w.run(document(), nil)
	w.get("/a")
	if r := w.awaitCounted(1); len(r.Differences) != 1 || r.Differences[0].Kind != shadow.KindFailure || r.Differences[0].Example.Candidate.Value != "refused" {
		t.Errorf("%+v", r)
	}
}

// TestWhatTheProxyAnswersItself: that it does not know the origin, or has no room, says nothing of the origin.
func TestWhatTheProxyAnswersItself(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{"NC": dropProxy, "NR": dropProxy, "UO": dropBusy, "-": dropProxy} {
		w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
		w.proxy.flags = flags
		w.run(document(), nil)
		w.get("/a")
		if r := w.awaitCounted(1); r.Dropped[want] != 1 {
			t.Errorf("%s: %+v", flags, r.Dropped)
		}
	}
}

func TestProxiesThatAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says("%q"), says("%q"), Limits{Spread: time.Minute})
	w.run(document(), nil)
	w.proxy.CloseClientConnections()
	w.proxy.Listener.Close()
	w.get("/a")
	if r := w.awaitCounted(1); r.Dropped[dropProxy] != 1 {
		t.Errorf("%+v", r)
	}
}

// TestUnauthorizedIsNoAllClear: without credentials both origins refuse, and that is never a pass.
func TestUnauthorizedIsNoAllClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, answersStatus(401), answersStatus(401), Limits{Spread: time.Minute})
	doc := document()
	doc.MinPairs = 1
	w.run(doc, nil)
	for i := range 100 {
		w.get(fmt.Sprintf("/orders/%d", i))
	}
	if r := w.awaitCounted(100); r.Verdict != shadow.Inconclusive || r.Unrepresentative != 100 {
		t.Errorf("%+v", r)
	}
}

// TestControlIsAskedAgain: by chance, and where there is a difference to be understood.
func TestControlIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		noise     int32
		candidate http.Handler
		asked     int64
	}{"by chance": {10_000, says(`{"a":%q}`), 2}, "by difference": {0, says(`{"b":%q}`), 2}, "not": {0, says(`{"a":%q}`), 1}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, says(`{"a":%q}`), c.candidate, Limits{Spread: time.Minute})
			doc := document()
			doc.Noise.Share = &c.noise
			w.run(doc, nil)
			w.get("/a")
			w.awaitCounted(1)
			if got := w.proxy.asked["shop/ecs@shadow"].Load(); got != c.asked {
				t.Errorf("control was asked %d times", got)
			}
		})
	}
}

func TestDarkAsksTheCandidateAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, says("%q"), Limits{Spread: time.Minute})
	doc := document()
	doc.Mode, doc.Control, doc.Noise = "dark", "", nil
	w.run(doc, nil)
	for range 10 {
		w.get("/a")
	}
	r := w.awaitCounted(10)
	if r.Answered != 10 || r.Verdict != shadow.Inconclusive || w.proxy.asked["shop/ecs@shadow"].Load() != 0 {
		t.Errorf("%+v", r)
	}
}
