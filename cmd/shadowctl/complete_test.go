package main

import (
	"strings"
	"testing"
	"time"
)

// TestCompletion: words come from the server, and without one there are none, at once.
func TestCompletion(t *testing.T) {
	d := serve(t, &double{answer: rolloutsToo(canned(world()))})
	for _, tt := range []struct{ args, want string }{
		{"rollback |", "orders,payments"},
		{"rollback pay|", "payments"},
		{"rollback orders |", ""},
		{"get |", "service,services,fleet,mirror,mirrors,rollout,rollouts"},
		{"get service |", "orders,payments"},
		{"get fleet |", ""},
		{"split set |", "orders,payments"},
		{"split set orders |", "ecs=,eks="},
		{"split set orders ecs=90% |", "eks="},
		{"service set-primary orders e|", "ecs,eks"},
		{"pin rm orders |", "beta,old"},
		{"pin add orders beta --origin |", "ecs,eks"},
		{"history |", "orders,payments"},
		{"endpoints |", "list,watch,accept"},
		{"endpoints list |", "orders,payments"},
		{"endpoints list orders e|", "ecs,eks"},
		{"endpoints watch orders |", "ecs,eks"},
		{"endpoints accept orders ek|", "eks"},
		{"endpoints accept orders eks |", ""},
		{"completion |", "bash,zsh,fish"},
		{"example |", "service,fleet,mirror,rollout"},
		{"get mirror |", "m1,m2"},
		{"mirror |", "start,stop,list,watch,report,diffs,explain"},
		{"mirror report m|", "m1,m2"},
		{"mirror stop m1 |", ""},
		{"mirror list |", "orders,payments"},
		{"mirror start m3 --service pay|", "payments"},
		{"mirror start m3 --service orders --candidate e|", "ecs,eks"},
		{"mirror diffs m1 --state |", "finding,open,noise,blind,all"},
		{"mirror report m1 -o |", "table,json,yaml,markdown"},
		{"rollout |", "start,run,pause,resume,approve,reject,abort,promote,list,watch,explain"},
		{"rollout start |", "r2"},
		{"rollout run |", "r2"},
		{"rollout pause |", "r1"},
		{"rollout approve r1 |", ""},
		{"rollout watch |", "r1,r2"},
		{"rollout explain r|", "r1,r2"},
		{"rollout list |", "orders,payments"},
		{"rollout start r3 --service |", "orders,payments"},
		{"rollout start r3 --service orders --to e|", "ecs,eks"},
		{"rollout start r3 --preset |", "1,5,10,15,25,35,50,65,80,100,10,50,100,10,50,90,100"},
		{"rollout start r3 --on-failure |", "rollback,gradual,freeze"},
		{"rollout start r3 --guard p9|", "p90<=,p99<="},
		{"get rollout |", "r1,r2"},
		{"delete rollout r1 |", ""},
		{"get services -o |", "table,json,yaml"},
		{"rollback orders --wait |", "none,acked,proven"},
	} {
		words := strings.Fields(strings.TrimSuffix(tt.args, "|"))
		last := ""
		if !strings.HasSuffix(tt.args, " |") {
			last, words = words[len(words)-1], words[:len(words)-1]
		}
		r := d.at(t, append(append([]string{"__completeNoDesc"}, words...), last)...)
		var got []string
		for line := range strings.Lines(r.out) {
			if word := strings.TrimSpace(line); !strings.HasPrefix(word, ":") {
				got = append(got, word)
			}
		}
		if joined := strings.Join(got, ","); joined != tt.want {
			t.Errorf("%s: got %q, want %q", tt.args, joined, tt.want)
		}
	}
}

// TestCompletionWithoutAServer offers nothing and does not hang.
func TestCompletionWithoutAServer(t *testing.T) {
	start := time.Now()
	r := shadowctl(t.Context(), invocation{args: []string{"__complete", "rollback", "", "--server", closedAddress(t)}})
	if took := time.Since(start); took > 3*completeWithin {
		t.Errorf("took %s", took)
	}
	if strings.Contains(r.out, "orders") || r.exit != 0 {
		t.Errorf("exit %d: %s", r.exit, r.out)
	}
}

// TestCompletionScripts: each shell gets a script that names the command.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := shadowctl(t.Context(), invocation{args: []string{"completion", shell}})
		if r.exit != 0 || !strings.Contains(r.out, "__complete") || !strings.Contains(r.out, "shadowctl") {
			t.Errorf("%s: exit %d, %d bytes", shell, r.exit, len(r.out))
		}
	}
}
