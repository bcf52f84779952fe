package main

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// TestChangesOfAFailedCall: what is known of the changes is on standard output, the error on standard error, the exit code says both.
func TestChangesOfAFailedCall(t *testing.T) {
	waited := &crossfadev1.ErrorDetail{Code: "timed_out", Field: "timeout", Message: "the change stands, but 1 proxy has not acknowledged it yet: edge-2", Next: "`shadowctl fleet` shows what each of them has"}
	refused := &crossfadev1.ErrorDetail{Code: "refused_by_proxy", Field: "listener/10000", Value: "edge-2", Message: "the proxy refused Listener listener/10000: cannot bind", Next: "the change was undone: the fleet has what it had before"}
	behind := func(c *crossfadev1.Change) *crossfadev1.Change {
		c.Fleet.Acked, c.Fleet.Pending = c.Fleet.Connected-1, []string{"edge-2"}
		return c
	}
	late := behind(rolledBack())
	late.Proof = &crossfadev1.Proof{State: pending, Reason: "edge-2: has not acknowledged"}
	unrecorded := proto.CloneOf(late)
	unrecorded.Recorded, unrecorded.Revision, unrecorded.Warnings = false, 0, []string{"the rollback is live, but not recorded yet: the store does not take it"}
	other := proto.CloneOf(unrecorded)
	other.Service = "payments"
	rejected := behind(changed("apply", map[string]int32{"ecs": 9000, "eks": 1000}))
	rejected.Fleet.Pending, rejected.Fleet.Refused = nil, []*crossfadev1.Refusal{{Proxy: "edge-2", Type: "Listener", Message: "cannot bind"}}
	undone := proto.CloneOf(rejected)
	undone.UndoneBy = 44
	pin := behind(changed("pin add", map[string]int32{"ecs": 10000, "eks": 0}))
	tests := []struct {
		name, args string
		code       codes.Code
		details    []proto.Message
		exit       int
	}{
		{"split-late", "split set orders eks=10%", codes.DeadlineExceeded, []proto.Message{waited, behind(changed("split set", map[string]int32{"ecs": 9000, "eks": 1000}))}, 7},
		{"pin-late", "pin add orders beta --origin eks --header x-beta=1", codes.DeadlineExceeded, []proto.Message{waited, pin}, 7},
		{"rollback-late", "rollback orders", codes.DeadlineExceeded, []proto.Message{waited, late}, 7},
		{"rollback-late-unrecorded", "rollback orders", codes.DeadlineExceeded, []proto.Message{waited, unrecorded}, 11},
		{"rollback-all-late-one-unrecorded", "rollback --all", codes.DeadlineExceeded, []proto.Message{waited, late, other}, 11},
		{"apply-refused", "apply -f -", codes.FailedPrecondition, []proto.Message{refused, rejected}, 6},
		{"apply-undone", "apply -f -", codes.FailedPrecondition, []proto.Message{refused, undone}, 6},
	}
	for _, tt := range tests {
		for _, form := range []string{"table", "json"} {
			t.Run(tt.name+"-"+form, func(t *testing.T) {
				d := serve(t, &double{answer: failing(tt.code, tt.details...)})
				args := append(strings.Fields(tt.args), "-o", form)
				r := shadowctl(t.Context(), invocation{args: args, stdin: exampleService, env: map[string]string{"CROSSFADE_SERVER": d.address}})
				if r.exit != tt.exit {
					t.Errorf("exit %d, want %d", r.exit, tt.exit)
				}
				golden(t, "stands-"+tt.name+"-"+form, fmt.Sprintf("$ shadowctl %s\nexit %d\n--- stdout\n%s--- stderr\n%s", strings.Join(args, " "), r.exit, r.out, r.err))
			})
		}
	}
}
