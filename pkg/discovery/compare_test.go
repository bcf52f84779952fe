package discovery

import "testing"

func TestCompare(t *testing.T) {
	take := func(texts ...string) Set {
		var s Set
		for i, text := range texts {
			s = s.Take(lookOf(t, i, text), rules)
		}
		return s
	}
	for name, tt := range map[string]struct {
		before, after   Set
		same, withdraws bool
	}{
		"nothing":            {Set{}, Set{}, true, false},
		"known to be empty":  {Set{}, take(""), true, false},
		"the first":          {Set{}, take("1"), false, false},
		"seen again":         {take("1 2"), take("1 2", "2 1"), true, false},
		"one more":           {take("1 3"), take("1 2 3"), false, false},
		"one drains":         {take("1 2"), take("1d 2"), false, true},
		"one is gone":        {take("1 2"), take("1 2", "2"), false, true},
		"the last is gone":   {take("1 2"), take("1 2", "1"), false, true},
		"one for another":    {take("1 2"), take("2 3"), false, true},
		"held":               {take("1 2 3"), take("1 2 3", "3"), true, false},
		"held, now drains":   {take("1 2 3", "3"), take("1 2 3", "3", "1d 3"), false, true},
		"drained":            {take("1d 2"), take("2"), false, false},
		"ready again":        {take("1d 2"), take("1 2"), false, false},
		"all are gone":       {take("1 2"), Set{}, false, true},
		"inherited":          {take("1 2"), take("1 2").Inherit(), true, false},
		"what was held, too": {take("1 2 3", "3"), take("1 2 3", "3").Renew(), true, false},
	} {
		if got := SameEndpoints(tt.before, tt.after); got != tt.same {
			t.Errorf("%s: same %v", name, got)
		}
		if got := Withdraws(tt.before, tt.after); got != tt.withdraws {
			t.Errorf("%s: withdraws %v", name, got)
		}
	}
	a, b := lookOf(t, 0, "1"), lookOf(t, 5, "1")
	b.Endpoints[0].Health, b.Endpoints[0].Metadata = "HEALTHY", map[string]string{"task": "a"}
	if !SameEndpoints(Set{}.Take(a, rules), Set{}.Take(b, rules)) {
		t.Error("health or metadata is for proxies")
	}
	b.Endpoints[0].Zone = "b"
	if SameEndpoints(Set{}.Take(a, rules), Set{}.Take(b, rules)) {
		t.Error("the zone is not for proxies")
	}
}
