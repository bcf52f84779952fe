package ecs

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

// TestPresence walks the table in the comment of task.presence.
func TestPresence(t *testing.T) {
	for _, c := range []struct {
		last, desired, health string
		neverRan              bool
		container             *container
		want                  presence
		word                  string
	}{
		{last: "PROVISIONING", desired: "RUNNING", want: absent, word: ""},
		{last: "PENDING", desired: "RUNNING", want: absent, word: ""},
		{last: "ACTIVATING", desired: "RUNNING", want: absent, word: ""},
		{last: "ACTIVATING", desired: "RUNNING", health: "HEALTHY", want: absent, word: "HEALTHY"},
		{last: "PENDING", desired: "STOPPED", neverRan: true, want: absent, word: ""},
		{last: "RUNNING", desired: "RUNNING", want: ready, word: ""},
		{last: "RUNNING", desired: "RUNNING", health: "UNKNOWN", want: ready, word: ""},
		{last: "RUNNING", desired: "RUNNING", health: "HEALTHY", want: ready, word: "HEALTHY"},
		{last: "RUNNING", desired: "RUNNING", health: "UNHEALTHY", want: ill, word: "UNHEALTHY"},
		{last: "RUNNING", desired: "STOPPED", health: "HEALTHY", want: leaving, word: "desired STOPPED"},
		{last: "RUNNING", desired: "STOPPED", health: "UNHEALTHY", want: leaving, word: "desired STOPPED"},
		{last: "RUNNING", desired: "RUNNING", container: &container{last: "RUNNING", health: "UNHEALTHY"}, want: ill, word: "UNHEALTHY"},
		{last: "RUNNING", desired: "RUNNING", container: &container{last: "STOPPED"}, want: leaving, word: "container STOPPED"},
		{last: "RUNNING", desired: "RUNNING", health: "HEALTHY", container: &container{last: "RUNNING", health: "UNKNOWN"}, want: ready, word: "HEALTHY"},
		{last: "DEACTIVATING", desired: "STOPPED", want: leaving, word: "DEACTIVATING"},
		{last: "DEACTIVATING", desired: "RUNNING", want: leaving, word: "DEACTIVATING"},
		{last: "STOPPING", desired: "STOPPED", want: leaving, word: "STOPPING"},
		{last: "DEPROVISIONING", desired: "STOPPED", want: leaving, word: "DEPROVISIONING"},
		{last: "STOPPED", desired: "STOPPED", want: leaving, word: "STOPPED"},
		{last: "DELETED", desired: "STOPPED", want: leaving, word: "DELETED"},
		{last: "STOPPING", desired: "STOPPED", neverRan: true, want: absent, word: ""},
		{last: "DEPROVISIONING", desired: "STOPPED", neverRan: true, want: absent, word: ""},
		{last: "STOPPED", desired: "STOPPED", neverRan: true, want: absent, word: ""},
		{last: "SLEEPING", desired: "RUNNING", want: unreadable, word: ""},
		{last: "", desired: "", want: unreadable, word: ""},
	} {
		one := task{last: c.last, desired: c.desired, health: c.health, ran: !c.neverRan}
		got := one.presence(c.container)
		if got != c.want {
			t.Errorf("%+v: %d, want %d", c, got, c.want)
		}
		if word := one.word(got); got != absent && word != c.word {
			t.Errorf("%+v: health %q, want %q", c, word, c.word)
		}
	}
}

func TestStateOf(t *testing.T) {
	for p, want := range map[presence]discovery.Readiness{ready: discovery.Ready, ill: discovery.Draining, leaving: discovery.Draining} {
		if got := stateOf(p); got != want {
			t.Errorf("%d is %s, want %s", p, got, want)
		}
	}
}

// TestLater: what was known of where a task is outlives answers that no longer say it.
func TestLater(t *testing.T) {
	was := task{
		arn: "a", last: running, own: true, address: netipAddr("10.0.0.1"), machine: "m", zone: "z", ran: true,
		containers: []container{{name: "app", bindings: []binding{{80, 80, 32768}}}},
	}
	got := was.later(task{arn: "a", last: stopped, containers: []container{{name: "app", last: stopped}}})
	if got.last != stopped || !got.own || got.address != was.address || got.machine != "m" || got.zone != "z" || !got.ran ||
		len(got.containers[0].bindings) != 1 || got.containers[0].last != stopped {
		t.Errorf("got %+v", got)
	}
	if got := was.later(task{arn: "a"}); len(got.containers) != 1 {
		t.Errorf("containers are forgotten: %+v", got)
	}
	now := task{own: true, address: netipAddr("10.0.0.2"), containers: []container{{name: "app", bindings: []binding{{80, 80, 1}}}}}
	if got := was.later(now); got.address != now.address || got.containers[0].bindings[0].host != 1 {
		t.Errorf("what is new is not taken: %+v", got)
	}
}
