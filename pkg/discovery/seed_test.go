package discovery

import (
	"testing"
	"time"
)

// seedOf is a set that was read from a note of ten minutes ago.
func seedOf(t *testing.T, text string) Set {
	t.Helper()
	l := lookOf(t, -600, text)
	return Seed(l.Endpoints, l.At)
}

// TestSeed: a note is as good as a look, but it is not one.
func TestSeed(t *testing.T) {
	s := seedOf(t, "2 1 3d")
	if believed(s) != "1 2 3d" || s.Known() || !s.Looked().Equal(start.Add(-10*time.Minute)) || s.Inherited() || !s.Endpoints()[0].Seen.Equal(s.Looked()) {
		t.Errorf("%+v", s)
	}
	for name, steps := range map[string][]step{
		"errors change nothing":        {{0, "!", "1 2 3 4d"}, {1000, "!", "1 2 3 4d"}},
		"an empty first look is held":  {{0, "", "1h 2h 3h"}, {100, "", "1h 2h 3h"}, {101, "1", "1 2h 3h"}, {111, "1", "1"}},
		"a smaller first look is held": {{0, "3", "1h 2h 3"}, {10, "3", "3"}},
		"one may be gone":              {{0, "1 2", "1 2"}},
		"more may be there":            {{0, "1 2 3 4 5", "1 2 3 4 5"}},
		"other ones are doubted":       {{0, "5 6", "1h 2h 3h 5 6"}},
		"what is meant is believed":    {{0, "=", ""}},
		"it may be accepted":           {{0, "", "1h 2h 3h"}, {1, "accept", ""}},
		"a clock that was set back":    {{-10000, "1 2", "1 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := walk(t, seedOf(t, "1 2 3 4d"), steps)
			if _, err := set.Failing(); set.Known() != (err == nil) {
				t.Errorf("known: %v", set.Known())
			}
		})
	}
}

// TestInherit: what another source named stays until the new one names something.
func TestInherit(t *testing.T) {
	for name, steps := range map[string][]step{
		"what it names is all":           {{0, "5", "5"}, {1, "", "5h"}},
		"errors change nothing":          {{0, "!", "1 2 3"}, {10, "6 5", "5 6"}},
		"as long as it names nothing":    {{0, "", "1h 2h 3h"}, {100, "", "1h 2h 3h"}, {101, "5", "5"}},
		"as long as it names none ready": {{0, "5d", "1h 2h 3h 5d"}, {100, "5", "5"}},
		"also if it means its own":       {{0, "=", "1h 2h 3h"}, {1, "5", "5"}, {2, "=", ""}},
		"it may be accepted":             {{0, "", "1h 2h 3h"}, {1, "accept", ""}, {2, "5", "5"}},
	} {
		t.Run(name, func(t *testing.T) {
			old := Set{}.Take(lookOf(t, -10, "1 2 3 4d"), rules).Take(lookOf(t, -5, "3 4d"), rules).Take(lookOf(t, -4, "!"), rules)
			if believed(old) != "1h 2h 3 4d" {
				t.Fatalf("at first: %q", believed(old))
			}
			s := old.Inherit()
			if since, err := s.Failing(); believed(s) != "1 2 3 4d" || s.Known() || !s.Inherited() || err != nil || !since.IsZero() || !s.Held().IsZero() || !s.Looked().Equal(old.Looked()) {
				t.Fatalf("inherited: %+v", s)
			}
			s = seedOf(t, "1 2 3").Inherit()
			if walk(t, s, steps).Inherited() {
				t.Error("it is still inherited")
			}
		})
	}
	if (Set{}).Inherit().Inherited() {
		t.Error("nothing is inherited")
	}
}

// TestRenew: what is watched anew is as good as a note, also if another source was to follow in between.
func TestRenew(t *testing.T) {
	old := Set{}.Take(lookOf(t, 0, "1 2 3"), rules)
	s := old.Renew()
	if believed(s) != "1 2 3" || s.Known() || s.Inherited() {
		t.Errorf("%+v", s)
	}
	walk(t, s, []step{{-5, "3", "1h 2h 3"}})
	walk(t, old.Inherit().Renew(), []step{{5, "3", "1h 2h 3"}})
}
