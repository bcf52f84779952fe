package envoytest

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/internal/origin"
)

// Origin starts an origin in clear text that ends with the test.
func Origin(t testing.TB, name string) *origin.Origin {
	t.Helper()
	o, err := origin.Start(origin.Config{Name: name, Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}
