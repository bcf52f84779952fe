package cloudmap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const region = "eu-central-1"

// deadline is how long a test waits for a look.
const deadline = 5 * time.Minute

// environment makes the SDK see no AWS but what a test gives it.
func environment(t *testing.T, keys bool) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_SERVICEDISCOVERY", "AWS_CA_BUNDLE",
	} {
		t.Setenv(name, "") // is put back after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if keys {
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
	}
}

// open makes a source that asks a fake, or the endpoint of the configuration.
func open(t *testing.T, f *fake, c Config) *Source {
	t.Helper()
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	s := New(c)
	if f != nil {
		s.http = f
	}
	t.Cleanup(s.Close)
	return s
}

// follower follows a target in a goroutine of its own.
type follower struct {
	t      testing.TB
	looks  chan discovery.Look
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Watch; valid once done is closed
}

func follow(t testing.TB, s *Source, target Target) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	w := &follower{t: t, looks: make(chan discovery.Look, 10000), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.err = s.Watch(ctx, target, func(l discovery.Look) { w.looks <- l })
	}()
	t.Cleanup(w.stop)
	return w
}

// stop returns when Watch has.
func (w *follower) stop() {
	w.cancel()
	<-w.done
}

func (w *follower) next() discovery.Look {
	w.t.Helper()
	select {
	case l := <-w.looks:
		return l
	case <-w.done:
		w.t.Fatalf("Watch returned %v", w.err)
	case <-time.After(deadline):
		w.t.Fatal("no look")
	}
	return discovery.Look{}
}

// await waits for a look that reads as want, and returns it.
func (w *follower) await(want string) discovery.Look {
	w.t.Helper()
	var before []string
	end := time.After(deadline)
	for {
		select {
		case l := <-w.looks:
			got := told(l)
			if got == want {
				return l
			}
			before = append(before, got)
		case <-w.done:
			w.t.Fatalf("Watch returned %v", w.err)
		case <-end:
			w.t.Fatalf("waited for %q, got %q", want, before)
		}
	}
}

// told is a look as text: "10.1.0.1:8080 healthy a, 10.1.0.2:8080 unhealthy a draining", or "error CODE".
func told(l discovery.Look) string {
	if l.Err != nil {
		return "error " + codeOf(l.Err)
	}
	words := make([]string, len(l.Endpoints))
	for i, e := range l.Endpoints {
		words[i] = strings.TrimSpace(fmt.Sprintf("%v %s %s", e.Address, e.Health, e.Zone))
		if e.State == discovery.Draining {
			words[i] += " draining"
		}
	}
	if l.Meant {
		words = append(words, "meant")
	}
	return strings.Join(words, ", ")
}

// healthy is what a look at healthy endpoints reads as.
func healthy(addresses ...string) string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a + ":8080 healthy a"
	}
	return strings.Join(out, ", ")
}

func codeOf(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprintf("without a code: %v", err)
}

func orders() Target { return Target{Region: region, Namespace: "shop", Service: "orders"} }
