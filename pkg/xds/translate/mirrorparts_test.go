package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/envoytest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// TestShareOfCopies moves the share as a lever, also to none, which is what a rollback leaves.
func TestShareOfCopies(t *testing.T) {
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, twoOrigins+halves+mirrored)
		l.awaitComparator()
		const n = 1000
		for _, c := range []struct {
			share       policy.BasisPoints
			least, most int
		}{
			{policy.Whole, n, n},
			{5000, n/2 - 100, n/2 + 100}, // six standard deviations
			{150, 1, 50},
			{0, 0, 0},
			{policy.Whole, n, n},
		} {
			m := *l.intent.service(t, "orders").Mirror
			m.Share = c.share
			l.setLevers("orders", translate.Levers(l.intent.service(t, "orders").WithMirror(&m)))
			before := len(l.comparator.got())
			for i := range n {
				l.get("orders.test", "/", fmt.Sprintf("x-id: %d", i))
			}
			got := l.settled(before) - before
			if t.Logf("at %d: %d of %d", c.share, got, n); got < c.least || got > c.most {
				t.Errorf("at %d: %d of %d are copied, want %d to %d", c.share, got, n, c.least, c.most)
			}
		}
		// Without any lever, as a proxy has it of which nothing is known.
		l.setLevers("orders", nil)
		before := len(l.comparator.got())
		for range 50 {
			l.get("orders.test", "/")
		}
		if got := l.settled(before) - before; got != 0 {
			t.Errorf("%d copies without a lever", got)
		}
	})
}

// TestMirrorOfPathsAndHeaders: a mirror that wants a part of a service gets that part.
func TestMirrorOfPathsAndHeaders(t *testing.T) {
	const docs = `
apiVersion: crossfade/v1
kind: Service
name: orders
hosts: [orders.test]
pathPrefixes: [/a, /b/c, /d]
listener: {port: PORT}
primary: ecs
origins:
- {name: ecs, static: {endpoints: ["127.0.0.1:1"]}}
- {name: eks, static: {endpoints: ["127.0.0.1:1"]}}
---
apiVersion: crossfade/v1
kind: Service
name: inner
hosts: [orders.test]
pathPrefixes: [/a/inner]
listener: {port: PORT}
primary: ecs
origins:
- {name: ecs, static: {endpoints: ["127.0.0.1:1"]}}
- {name: eks, static: {endpoints: ["127.0.0.1:1"]}}
`
	envoytest.EachVersion(t, func(t *testing.T, version string) {
		l := newLab(t, version, docs+mirrored+"pathPrefixes: [/a/x, /a/x/y, /b, /elsewhere]\nheaders: [{name: X-Tenant, regex: \"t.*\"}, {name: X-Skip, present: false}]\n")
		l.eventually("a first copy", func() bool {
			l.get("orders.test", "/a/x", "x-tenant: t", "x-id: first-1")
			return len(l.comparator.got()) > 0
		})
		for path, copied := range map[string]bool{
			"/a": false, "/a/x": true, "/a/x/y/z": true, "/a/xx": false, "/b/c": true, "/b/c/d": true, "/d": false, "/d/x": false, "/a/inner/x": false, "/a/inner": false,
		} {
			for i, h := range []string{"x-tenant: t1", "x-tenant: other", "x-tenant: t1|x-skip: 1", "y: z"} {
				id := fmt.Sprint(path, i)
				r := l.get("orders.test", path, append(strings.Split(h, "|"), "x-id: "+id)...)
				want := "orders/ecs"
				if strings.HasPrefix(path, "/a/inner") {
					want = "inner/ecs"
				}
				if r.origin() != want {
					t.Errorf("%s is answered by %q", path, r.origin())
				}
				if copied && i == 0 {
					l.awaitCopy(id)
				}
			}
			l.get("orders.test", "/a/x", "x-tenant: t", "x-id: after "+path)
			l.awaitCopy("after " + path)
			for i := range 4 {
				if got := slices.Contains(l.comparator.ids(), fmt.Sprint(path, i)); got != (copied && i == 0) {
					t.Errorf("%s with headers %d: copied %t", path, i, got)
				}
			}
		}
	})
}
