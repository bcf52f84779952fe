package truth

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/crossfade-proxy/crossfade/internal/loadgen"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

func start(t *testing.T, c Config) *Truth {
	t.Helper()
	tr, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// client speaks HTTP/1.1, or HTTP/2 in clear text.
func client(t *testing.T, p Part) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(p == HTTP)
	protocols.SetUnencryptedHTTP2(p == GRPC)
	// A connection for each request of HTTP/1.1: on one that was used before, net/http sends what was reset again by itself.
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, DisableKeepAlives: p == HTTP}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// said is an answer as text; headers of the moment are left out.
func said(t *testing.T, c *http.Client, o *Origin, q loadgen.Request, mark string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.Method, "http://"+o.Addr()+q.Path, bytes.NewReader(q.Body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range q.Header {
		r.Header.Set(h[0], h[1])
	}
	if mark != "" {
		r.Header.Set("x-shadow", mark)
		r.Header.Del("authorization")
		r.Header.Del("cookie")
	}
	resp, err := c.Do(r)
	if err != nil {
		return "failure"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "truncated"
	}
	var b strings.Builder
	resp.Header.Del("Date")
	resp.Header.Del("Content-Length")
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			b.WriteString(name + ": " + strings.Join(h[name], ",") + "\n")
		}
	}
	return resp.Status + "\n" + b.String() + string(body)
}

// TestBothPartsAnswerAsTheWorldSays: at a rate of 100 % the candidate's answers differ wherever something is planted, and control's to the same
// request do not, over HTTP/1.1 and gRPC; what arrived is counted.
func TestBothPartsAnswerAsTheWorldSays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	tr := start(t, Config{Seed: seed, World: shadowtest.Options{Endpoints: 1, Rate: 1}})
	if n := len(tr.Planted(HTTP)) + len(tr.Planted(GRPC)); n != len(shadowtest.Kinds) || len(tr.Planted(GRPC)) != 5 {
		t.Fatal(n, tr.Planted(GRPC))
	}
	zipped, sent := 0, uint64(0)
	for _, p := range []Part{HTTP, GRPC} {
		c, next := client(t, p), tr.Requests(p, "shop.test", seed)
		for i := range uint64(100) {
			q := next(i)
			live, again, other := said(t, c, tr.Control, q, ""), said(t, c, tr.Control, q, "a"), said(t, c, tr.Candidate, q, "a")
			if sent++; live != again || !strings.HasPrefix(live, "200") {
				t.Fatalf("control says %q, then %q", live, again)
			}
			if other == live {
				t.Errorf("%s: no difference: %q", q.Path, live)
			}
			if strings.Contains(live, "Content-Encoding: gzip") {
				zipped++
			}
			if p == GRPC && (!strings.Contains(live, "Grpc-Status: 0") || !strings.Contains(other, "Grpc-Status: 13")) {
				t.Fatalf("%q, %q", live, other)
			}
		}
	}
	if zipped < 5 {
		t.Errorf("%d answers were compressed", zipped)
	}
	control, candidate := tr.Control.Log(), tr.Candidate.Log()
	if control.Live != sent || control.Shadow["a"] != sent || candidate.Live != 0 || candidate.Shadow["a"] != sent || control.Leaked+candidate.Leaked > 0 {
		t.Errorf("%d were sent: %+v, %+v", sent, control, candidate)
	}
}

// TestAskedAgainOnlyNoiseDiffers: a world with noise gives some requests another answer, and most the same.
func TestAskedAgainOnlyNoiseDiffers(t *testing.T) {
	tr := start(t, Config{Seed: rand.Uint64(), World: shadowtest.Options{Endpoints: 1, Noise: 0.2, Noisy: 10}})
	c, next, same := client(t, HTTP), tr.Requests(HTTP, "shop.test", 1), 0
	for i := range uint64(300) {
		q := next(i)
		if first, second := said(t, c, tr.Control, q, "a"), said(t, c, tr.Control, q, "a"); first == second {
			same++
		}
	}
	if same < 150 || same > 298 {
		t.Errorf("%d of 300 are the same", same)
	}
	if tr.Planted(HTTP) != nil {
		t.Error("nothing is planted")
	}
}

// TestManners: live requests get an answer of the world, copies without credentials do not.
func TestManners(t *testing.T) {
	for manner, want := range map[Manner]string{Unauthorized: "401", Login: "302", OneBody: "200", NotModified: "304", Throttled: "429"} {
		tr := start(t, Config{Seed: 1, World: shadowtest.Options{Endpoints: 1}, Manner: manner})
		c, next := client(t, HTTP), tr.Requests(HTTP, "shop.test", 1)
		var got []string
		for i := range uint64(8) {
			q := next(i)
			live, status := said(t, c, tr.Control, q, "")[:3], said(t, c, tr.Control, q, "a")[:3]
			if got = append(got, status); live != "200" && manner != NotModified {
				t.Errorf("%s: live requests get %s", manner, live)
			}
		}
		if !slices.Contains(got, want) || slices.Contains(got, "200") != (manner == OneBody || manner == Throttled) {
			t.Errorf("%s: %v", manner, got)
		}
	}
}

// TestReflectionDescribesTheMethod: who has no descriptors can ask for them, which counts apart.
func TestReflectionDescribesTheMethod(t *testing.T) {
	tr := start(t, Config{Seed: 1, World: shadowtest.Options{Endpoints: 1}})
	conn, err := grpc.NewClient(tr.Control.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	question := &grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "shop.Orders"}}
	if err := stream.Send(question); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) != 1 {
		t.Fatal(got, err)
	}
	if l := tr.Control.Log(); l.Describe != 1 || l.Live != 0 {
		t.Errorf("%+v", l)
	}
}

func TestHold(t *testing.T) {
	a, b := shadowtest.Place{Endpoint: "/a", Kind: "status", Path: "status"}, shadowtest.Place{Endpoint: "/a", Kind: "json_value", Path: "$.x"}
	follows, wrong := shadowtest.Place{Endpoint: "/a", Kind: "json_type", Path: "$.x"}, shadowtest.Place{Endpoint: "/b", Kind: "json_value", Path: "$.x"}
	missed, invented := Hold([]shadowtest.Place{a, b}, []shadowtest.Place{b, follows, wrong})
	if !slices.Equal(missed, []shadowtest.Place{a}) || !slices.Equal(invented, []shadowtest.Place{wrong}) {
		t.Error(missed, invented)
	}
}

func TestUndescribed(t *testing.T) {
	a, b := shadowtest.Place{Endpoint: shadowtest.GRPCPath, Kind: "proto_missing", Path: "$.field_c"}, shadowtest.Place{Endpoint: shadowtest.GRPCPath, Kind: "trailer", Path: "trailer:x-ta"}
	got := Undescribed([]shadowtest.Place{a, b})
	if got[0].Kind != "proto_unknown" || got[0].Path != "$.#3" || got[1] != b {
		t.Error(got)
	}
}

// FuzzAsked: whatever arrives, it is some request.
func FuzzAsked(f *testing.F) {
	f.Add("/api/orders/17", []byte{})
	f.Add(shadowtest.GRPCPath, frame([]byte{8, 200}))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path = path
		if q := asked(r, body); q.Path != path {
			t.Error(q)
		}
	})
}
