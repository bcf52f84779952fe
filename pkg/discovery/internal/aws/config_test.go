package aws

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestLoad(t *testing.T) {
	environment(t, keys())
	if _, err := Load(t.Context(), Options{}); codeOf(err) != "aws_region_missing" || !strings.Contains(err.Error(), "set the region in the origin, or AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	cfg, err := Load(t.Context(), Options{})
	if err != nil || cfg.Region != "eu-west-1" {
		t.Errorf("AWS_REGION: %q, %v", cfg.Region, err)
	}
	if cfg = load(t, Options{Region: "eu-central-1"}); cfg.Region != "eu-central-1" || cfg.BaseEndpoint != nil {
		t.Errorf("the region of the origin: %q, at %v", cfg.Region, cfg.BaseEndpoint)
	}
	if r := cfg.Retryer(); r.MaxAttempts() != maxAttempts {
		t.Errorf("%d attempts", r.MaxAttempts())
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[default]\nregion = eu-north-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_PROFILE", "nobody")
	if _, err := Load(t.Context(), Options{Region: region}); codeOf(err) != "aws_config_invalid" || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

// TestWhatIsSent: calls go to the emulator, name us, and are counted by attempt.
func TestWhatIsSent(t *testing.T) {
	environment(t, keys())
	agents, failures := []string{}, 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agents = append(agents, r.UserAgent())
		if failures--; failures >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer s.Close()
	var calls Calls
	if got := calls.ByAction(); len(got) != 0 {
		t.Errorf("counted %v before", got)
	}
	if err := ask(t, Options{Endpoint: s.URL, Calls: &calls}); err != nil {
		t.Fatal(err)
	}
	if len(agents) != 2 || !strings.Contains(agents[0], "app/crossfade") {
		t.Errorf("asked by %q", agents)
	}
	if got := calls.ByAction(); !maps.Equal(got, map[string]int64{"ListNamespaces": 2}) {
		t.Errorf("counted %v", got)
	}
}

func TestCheckRegion(t *testing.T) {
	for _, good := range []string{"", "eu-central-1", "us-gov-west-1", "ap-southeast-5", "us-iso-east-1", "us-isob-east-1", "mx-central-1"} {
		if err := CheckRegion(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{"Frankfurt": "named like", "eu-central-1a": "its region is eu-central-1", "eu-central": "named like", "x.evil.test/": "named like"} {
		if err := CheckRegion(bad); err == nil || err.Code != "aws_region_invalid" || err.Field != "region" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestPace(t *testing.T) {
	random := 0.5
	p := &Pace{Every: 5 * time.Second, Random: func() float64 { return random }}
	if got := p.First(); got != 250*time.Millisecond {
		t.Errorf("first after %v", got)
	}
	var got []time.Duration
	for _, o := range []Outcome{Answered, Failed, Failed, Failed, Answered, WasThrottled, WasThrottled, WasThrottled, WasThrottled, Failed, Answered} {
		got = append(got, p.Next(o)/time.Second)
	}
	if want := []time.Duration{5, 10, 20, 20, 5, 10, 20, 40, 60, 20, 5}; !slices.Equal(got, want) {
		t.Errorf("pauses %d, want %d", got, want)
	}
	for _, random = range []float64{0, 0.999} {
		if got := p.Next(Answered); got < 4500*time.Millisecond || got > 5500*time.Millisecond {
			t.Errorf("after %v", got)
		}
	}
	slow := &Pace{Every: 2 * time.Minute, Random: func() float64 { return 0.5 }}
	for range 100 {
		if got := slow.Next(WasThrottled); got != 2*time.Minute {
			t.Errorf("failures made it faster: %v", got)
		}
	}
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start, at := time.Now(), []time.Duration{}
		p := &Pace{Every: 10 * time.Second, Random: func() float64 { return 0.5 }}
		Poll(ctx, p, func(context.Context) Outcome {
			if at = append(at, time.Since(start)/time.Millisecond); len(at) == 4 {
				cancel()
			}
			return []Outcome{Answered, WasThrottled, Answered, Answered}[len(at)-1]
		})
		if want := []time.Duration{500, 10500, 30500, 40500}; !slices.Equal(at, want) {
			t.Errorf("looked at %d, want %d", at, want)
		}
	})
}

func codeOf(err error) string {
	var e *policy.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
