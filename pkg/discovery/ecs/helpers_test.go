package ecs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

const region1 = "eu-central-1"

var orders = Target{Region: region1, Cluster: "prod", Service: "orders", Port: 8080}

// bubble runs a test with a fake clock, a fake ECS with the cluster "prod", and a client that asks it without a network.
func bubble(t *testing.T, c Config, test func(t *testing.T, e *awstest.ECS, client *Client)) {
	t.Helper()
	identity(t, "AKIDEXAMPLE")
	synctest.Test(t, func(t *testing.T) {
		e := awstest.NewECS()
		e.CreateCluster("prod")
		if c.http == nil {
			c.http = e.Direct(region1).HTTPClient
		}
		if c.Log == nil {
			c.Log = slog.New(slog.DiscardHandler)
		}
		client, err := New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close() // before the bubble ends
		test(t, e, client)
	})
}

// identity makes files that say who we are to AWS, and returns that with the credentials.
func identity(t *testing.T, key string) string {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	writeIdentity(t, file, key)
	return file
}

func writeIdentity(t *testing.T, file, key string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = secret\n", key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watcher keeps what was told of a target.
type watcher struct {
	t     *testing.T
	mu    sync.Mutex
	looks []discovery.Look
	news  chan struct{}
	stop  context.CancelFunc
	done  chan struct{}
	err   error // after done
}

func watch(t *testing.T, c *Client, target Target) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{t: t, stop: cancel, done: make(chan struct{}), news: make(chan struct{}, 1)}
	go func() {
		defer close(w.done)
		w.err = c.Watch(ctx, target, func(l discovery.Look) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.looks = append(w.looks, l)
			select {
			case w.news <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

// all returns how many looks there were, and what the last one said: "10.0.0.1 10.0.0.2d(STOPPING)" are endpoints, d for draining, "="
// before them that they are meant, "!code" an error, "" no look yet, "none" one without endpoints.
func (w *watcher) all() (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.looks) == 0 {
		return 0, ""
	}
	return len(w.looks), said(w.looks[len(w.looks)-1])
}

func (w *watcher) last() discovery.Look {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.looks) == 0 {
		w.t.Fatal("no look was told")
	}
	return w.looks[len(w.looks)-1]
}

func said(l discovery.Look) string {
	if l.Err != nil {
		return "!" + codeOf(l.Err)
	}
	words := []string{}
	for _, e := range l.Endpoints {
		word := e.Address.Addr().String()
		if e.State == discovery.Draining {
			word += fmt.Sprintf("d(%s)", e.Health)
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		words = append(words, "none")
	}
	prefix := ""
	if l.Meant {
		prefix = "="
	}
	return prefix + strings.Join(words, " ")
}

func codeOf(err error) string {
	var e *policy.Error
	if !errors.As(err, &e) {
		return "without a code: " + err.Error()
	}
	return e.Code
}

// expect lets some time of the bubble pass and checks what was told last.
func (w *watcher) expect(after time.Duration, want string) {
	w.t.Helper()
	pass(after)
	if _, got := w.all(); got != want {
		w.t.Fatalf("told %q, want %q; error %v", got, want, w.last().Err)
	}
}

// pass lets time of a bubble pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// poll1 is how long the next look takes at most.
const poll1 = 6 * time.Second

func task1(address string) awstest.Task {
	return awstest.Task{Cluster: "prod", Group: "service:orders", Address: address}
}

func total(calls map[string]int) int {
	n := 0
	for _, c := range calls {
		n += c
	}
	return n
}
