package control

import (
	"slices"
	"testing"
)

func TestHaveNot(t *testing.T) {
	for want, proxies := range map[string][]string{"1 proxy has not": {"a"}, "2 proxies have not": {"a", "b"}, "0 proxies have not": nil} {
		if got := haveNot(proxies); got != want {
			t.Errorf("haveNot(%v) = %q, want %q", proxies, got, want)
		}
	}
}

// A change at proxies with an override names them, and only them, in one warning.
func TestOverridesAt(t *testing.T) {
	proxies := []string{"p1", "p2", "p3"}
	for _, tt := range []struct {
		overridden []string
		want       []string
	}{
		{nil, nil},
		{[]string{"p9"}, nil},
		{[]string{"p2"}, []string{"override: p2 does not follow levers; `shadowctl break-glass orders` shows how to clear it"}},
		{[]string{"p3", "p1"}, []string{"override: p1, p3 do not follow levers; `shadowctl break-glass orders` shows how to clear it"}},
	} {
		got := overridesAt("orders", proxies, func(proxy string) bool { return slices.Contains(tt.overridden, proxy) })
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.overridden, got, tt.want)
		}
	}
}
