package control_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/pkg/control"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// What a source says in bytes that are no text does not keep answers from being written.
func TestASourceThatSaysNoText(t *testing.T) {
	for name, said := range map[string]error{
		"with a code": &policy.Error{Kind: policy.Unavailable, Code: "kubernetes_failing", Value: "\xfe", Message: "it says \xff"}, "without": fmt.Errorf("it says %s", "\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDiscovering(t, t.TempDir(), newScript(), cautious)
			d.applied(moving("prod", 0))
			d.script.mu.Lock()
			d.looks[shop] = discovery.Look{At: time.Now(), Err: said}
			close(d.woken)
			d.woken = make(chan struct{})
			d.script.mu.Unlock()
			if _, err := proto.Marshal(d.awaitState(control.OriginFailing)); err != nil {
				t.Error(err)
			}
		})
	}
}
