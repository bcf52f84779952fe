package comparator

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// says answers with JSON, whatever is asked.
func says(format string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "application/json")
		fmt.Fprintf(w, format, r.URL.Path)
	})
}

func TestPairsAreComparedAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, says(`{"path":%q,"total":1}`), says(`{"path":%q,"total":"1"}`), Limits{Spread: time.Minute})
	w.run(document(), nil)
	for i := range 50 {
		w.get(fmt.Sprintf("/orders/%d", i))
	}
	r := w.awaitCounted(50)
	if r.Compared != 50 || len(r.Differences) != 1 || r.Differences[0].Path != "$.total" || r.Differences[0].Endpoint != "/orders/{id}" {
		t.Errorf("%+v", r)
	}
	c, _ := w.server.counts(w.key)
	if c.GetAskedCandidate() != 50 || c.GetAskedControl() < 50 {
		t.Errorf("asked %d and %d", c.GetAskedControl(), c.GetAskedCandidate())
	}
	if got := w.proxy.asked["shop/ecs@shadow"].Load(); got != c.GetAskedControl() {
		t.Errorf("control was asked %d times, told was %d", got, c.GetAskedControl())
	}
	w.end()
	if !w.server.goodbye {
		t.Error("no goodbye")
	}
}
