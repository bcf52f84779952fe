package endpoint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	tt, errs := New([]string{"/orders/{order}/items", "/healthz"})
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	for path, want := range map[string]string{
		"/orders/17/items":          "/orders/{order}/items",
		"/orders/17/items?x=secret": "/orders/{order}/items",
		"/healthz":                  "/healthz",
		"/orders/17":                "/orders/{id}",
		"/v1/users/550e8400-e29b-41d4-a716-446655440000": "/v1/users/{id}",
		"/users/alice@example.com/orders":                "/users/{id}/orders",
		"/":                                              "/",
		"":                                               "/",
		"/a//b/":                                         "/a//b/",
		"/files/2024-01-31.pdf":                          "/files/{id}",
		"/pkg.Service/Method":                            "/pkg.Service/Method",
		"/x/" + strings.Repeat("a/", 30):                 "/x" + strings.Repeat("/a", MaxSegments-2) + "/{rest}",
	} {
		if got, _ := tt.Of(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestIdsWithFewDigitsAreNotShown: u154 and SKU-07B5D stood in the list of paths, since the name of a field may have three digits.
func TestIdsWithFewDigitsAreNotShown(t *testing.T) {
	tt, _ := New([]string{"/i18n/{lang}", "/oauth2/token"})
	for path, want := range map[string]string{
		"/users/u154": "/users/{id}", "/items/SKU-07B5D": "/items/{id}", "/a/x1": "/a/{id}", "/a/b-2/c": "/a/{id}/c", "/v154/x": "/{id}/x", "/rev1/x": "/{id}/x", "/v1-u7/x": "/{id}/x",
		"/v1/x": "/v1/x", "/V2/x": "/V2/x", "/api-v1/x": "/api-v1/x", "/v1.2/x": "/{id}/x", "/shop.v1.Orders/Get": "/shop.v1.Orders/Get",
		"/i18n/de": "/i18n/{lang}", "/oauth2/token": "/oauth2/token", "/oauth2/keys": "/{id}/keys", "/{user}/x": "/{id}/x",
	} {
		if got, _ := tt.Of(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestBadTemplates(t *testing.T) {
	_, errs := New(append(make([]string, MaxGiven), "orders", "/a?b", "/a/*", "/"+strings.Repeat("a/", 20)))
	if len(errs) != MaxGiven+5 {
		t.Errorf("%d errors", len(errs))
	}
	for _, e := range errs {
		if e.Code == "" || e.Message == "" || e.Field == "" {
			t.Errorf("%+v", e)
		}
	}
}

// TestOrderDoesNotCount: whatever the order of paths, and however many learned apart, the templates are the same in the end.
func TestOrderDoesNotCount(t *testing.T) {
	var paths []string
	for i := range 60 {
		user := "user" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		paths = append(paths, "/users/"+user, "/users/"+user+"/orders/"+fmt.Sprint(i*1000), "/shops/north/"+user, fmt.Sprintf("/v%d/x", i%3))
	}
	var want []string
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		a, _ := New(nil)
		b, _ := New(nil)
		seen := map[string]bool{}
		for i, p := range paths {
			tt := a
			if i%2 == 0 && seed%2 == 0 {
				tt = b
			}
			s, _ := tt.Of(p)
			seen[s] = true
		}
		a.Merge(b)
		var got []string
		for s := range seen {
			got = append(got, a.Again(s))
		}
		slices.Sort(got)
		got = slices.Compact(got)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
	if !slices.Equal(want, []string{"/shops/north/{id}", "/users/{id}", "/users/{id}/orders/{id}", "/v0/x", "/v1/x", "/v2/x"}) {
		t.Error(want)
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	tt, _ := New(nil)
	seen := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		return string([]byte{byte('a' + r.IntN(26)), byte('a' + r.IntN(26)), byte('g' + r.IntN(20))})
	}
	for range 100_000 {
		s, _ := tt.Of("/" + word() + "/" + word() + "/" + word() + "/" + word())
		seen[s] = true
	}
	if tt.nodes > MaxNodes || tt.nodes != tt.root.size()-1 {
		t.Errorf("%d nodes, %d counted", tt.root.size()-1, tt.nodes)
	}
}

// FuzzOf: nothing panics, a template is its own template, and the number of nodes is bounded.
func FuzzOf(f *testing.F) {
	f.Add("/orders/17\n/orders/a\n//\n/{id}/x")
	f.Fuzz(func(t *testing.T, text string) {
		tt, _ := New([]string{"/a/{b}"})
		for _, p := range strings.Split(text, "\n") {
			s, _ := tt.Of(p)
			if again := tt.Again(s); again != s {
				t.Fatalf("%q: %q, then %q", p, s, again)
			}
		}
		if tt.nodes != tt.root.size()-1 || tt.nodes > MaxNodes {
			t.Fatal(tt.nodes)
		}
	})
}
