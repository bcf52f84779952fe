package loadgen

import (
	"errors"
	"testing"
)

func TestWithPosts(t *testing.T) {
	next := WithPosts(5, Request{Host: "orders.test", Path: "/x"}, []byte("body"))
	posts := 0
	for i := range uint64(100) {
		r := next(i)
		if r.Host != "orders.test" || r.Path != "/x" || (r.Method == "POST") != (string(r.Body) == "body") {
			t.Errorf("request %d: %+v", i, r)
		}
		if r.Method == "POST" {
			posts++
		}
	}
	if posts != 20 {
		t.Errorf("%d of 100 are POST", posts)
	}
}

// TestReasonsOfStreamsAreFew: what differs from stream to stream is no reason.
func TestReasonsOfStreamsAreFew(t *testing.T) {
	got := reasonOf(errors.New("stream error: stream ID 129; INTERNAL_ERROR; received from peer"))
	if want := "HTTP/2: stream error: INTERNAL_ERROR; received from peer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
