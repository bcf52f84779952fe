package cloudmap

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// bubble runs a test with a fake Cloud Map and a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, f *fake)) {
	environment(t, true)
	synctest.Test(t, func(t *testing.T) { test(t, newFake()) })
}

func TestChanges(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1", "10.1.0.2")
		s := open(t, f, Config{})
		w := follow(t, s, orders())
		start := time.Now()
		first := w.await(healthy("10.1.0.1", "10.1.0.2"))
		if since := first.At.Sub(start); since > DefaultPoll/10 || first.Endpoints[0].Metadata["instance"] != "10.1.0.1" {
			t.Errorf("after %v: %+v", since, first)
		}
		f.register("shop/orders", "10.1.0.3")
		next := w.next()
		if told(next) != healthy("10.1.0.1", "10.1.0.2", "10.1.0.3") || next.At.Sub(first.At) > DefaultPoll*11/10 || next.At.Sub(first.At) < DefaultPoll*9/10 {
			t.Errorf("%v later: %s", next.At.Sub(first.At), told(next))
		}
		f.register("shop/orders", "10.1.0.3 unhealthy")
		w.await("10.1.0.1:8080 healthy a, 10.1.0.2:8080 healthy a, 10.1.0.3:8080 unhealthy a draining")
		f.register("shop/orders", "10.1.0.1 unhealthy", "10.1.0.2 unhealthy")
		w.await("10.1.0.1:8080 unhealthy a, 10.1.0.2:8080 unhealthy a, 10.1.0.3:8080 unhealthy a")
		f.deregister("shop/orders", "10.1.0.2", "10.1.0.3")
		w.await("10.1.0.1:8080 unhealthy a")
		f.deregister("shop/orders", "10.1.0.1")
		w.await("") // an answer, but not meant
		if calls := s.Calls(); len(calls) != 1 || calls["DiscoverInstances"] < 6 {
			t.Errorf("asked %v", calls)
		}
	})
}

// TestAServiceIsThereLater: a namespace and a service that are missing are told as such, at the usual pace, and found once they are there.
func TestAServiceIsThereLater(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		w := follow(t, open(t, f, Config{}), orders())
		l := w.await("error cloudmap_namespace_missing")
		var e *policy.Error
		if !errors.As(l.Err, &e) || e.Kind != policy.NotFound || !strings.Contains(e.Error(), `Cloud Map in eu-central-1 has no namespace "shop"; check its name, the region, and the account`) {
			t.Errorf("got %v", l.Err)
		}
		f.register("shop/payments", "10.1.0.9")
		if l = w.await("error cloudmap_service_missing"); !strings.Contains(l.Err.Error(), `has no service "orders" in namespace "shop"; check its name`) {
			t.Errorf("got %v", l.Err)
		}
		f.register("shop/orders")
		from := time.Now()
		if l = w.await(""); l.At.Sub(from) > DefaultPoll*11/10 {
			t.Errorf("found %v after it was there", l.At.Sub(from))
		}
		f.register("shop/orders", "10.1.0.1")
		w.await(healthy("10.1.0.1"))
		f.remove("shop/orders")
		w.await("error cloudmap_service_missing") // no look without endpoints: whoever deleted it may not have meant it
	})
}

// TestDeniedForOne: who may not ask for one service still gets the other.
func TestDeniedForOne(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1")
		f.register("shop/payments", "10.1.0.9")
		f.failing(func(_, service string) (int, string) {
			if service == "shop/payments" {
				return http.StatusBadRequest, "AccessDeniedException"
			}
			return 0, ""
		})
		s := open(t, f, Config{})
		denied, allowed := follow(t, s, Target{Region: region, Namespace: "shop", Service: "payments"}), follow(t, s, orders())
		l := denied.await("error aws_access_denied")
		if want := "forbids us to call servicediscovery:DiscoverInstances; allow servicediscovery:DiscoverInstances"; !strings.Contains(l.Err.Error(), want) {
			t.Errorf("got %v", l.Err)
		}
		for range 5 {
			if got := told(allowed.next()); got != healthy("10.1.0.1") {
				t.Errorf("the other one: %s", got)
			}
		}
		f.failing(nil)
		denied.await(healthy("10.1.0.9"))
	})
}

// TestThrottled: asks more slowly, up to a minute, and as before once AWS allows it.
func TestThrottled(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1")
		f.failing(func(string, string) (int, string) { return http.StatusBadRequest, "RequestLimitExceeded" })
		s := open(t, f, Config{})
		w := follow(t, s, orders())
		last := w.await("error aws_throttled")
		for _, want := range []int{10, 20, 40, 60, 60, 60} {
			l := w.next()
			if took := l.At.Sub(last.At).Seconds(); told(l) != "error aws_throttled" || took < float64(want)*0.9 || took > float64(want)*1.1+8 {
				t.Errorf("%s after %.1f s, want about %d", told(l), took, want)
			}
			last = l
		}
		if calls := s.Calls()["DiscoverInstances"]; calls > 7*3 {
			t.Errorf("asked %d times", calls)
		}
		f.failing(nil)
		w.await(healthy("10.1.0.1"))
		first, second := w.next(), w.next()
		if took := second.At.Sub(first.At); took > DefaultPoll*11/10 {
			t.Errorf("still slow: %v", took)
		}
	})
}

// TestAnHourOfErrors: what is known stays, each look says why, and it is over within half a minute of AWS being well.
func TestAnHourOfErrors(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1", "10.1.0.2", "10.1.0.3")
		w := follow(t, open(t, f, Config{}), orders())
		rules := discovery.Rules{Share: 30, Confirm: 10 * time.Second}
		set := discovery.Set{}.Take(w.await(healthy("10.1.0.1", "10.1.0.2", "10.1.0.3")), rules)
		f.failing(func(string, string) (int, string) { return http.StatusInternalServerError, "InternalFailure" })
		looks := 0
		for end := time.Now().Add(time.Hour); time.Now().Before(end); looks++ {
			l := w.next()
			if told(l) != "error aws_failing" {
				t.Fatalf("told %s", told(l))
			}
			if set = set.Take(l, rules); len(set.Endpoints()) != 3 {
				t.Fatalf("believed %v", set.Endpoints())
			}
		}
		if looks < 120 || looks > 300 {
			t.Errorf("looked %d times in an hour", looks)
		}
		f.failing(nil)
		from := time.Now()
		w.await(healthy("10.1.0.1", "10.1.0.2", "10.1.0.3"))
		if took := time.Since(from); took > 30*time.Second {
			t.Errorf("%v until it was noticed", took)
		}
	})
}

// TestNobodyAnswers: a look does not wait for ever.
func TestNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.hanging()
		start := time.Now()
		w := follow(t, open(t, f, Config{}), orders())
		l := w.next()
		if told(l) != "error aws_unreachable" || time.Since(start) > lookTimeout+time.Second || !strings.Contains(l.Err.Error(), "in time") {
			t.Errorf("after %v: %v", time.Since(start), l.Err)
		}
	})
}

func TestWithoutCredentialsAndRegion(t *testing.T) {
	environment(t, false)
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s := open(t, f, Config{})
		w := follow(t, s, orders())
		if l := w.await("error aws_credentials_missing"); !strings.Contains(l.Err.Error(), "Cloud Map in eu-central-1 cannot be asked: no AWS credentials are at hand; give this process a role") {
			t.Errorf("got %v", l.Err)
		}
		if l := follow(t, s, Target{Namespace: "shop", Service: "orders"}).await("error aws_region_missing"); !strings.Contains(l.Err.Error(), "set the region in the origin, or AWS_REGION") {
			t.Errorf("got %v", l.Err)
		}
		if got := s.Calls(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

// TestCorrectedKeys: keys that somebody corrects in the file are used without a restart.
func TestCorrectedKeys(t *testing.T) {
	environment(t, false)
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	keys := func(id string) {
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys("AKIDOLD")
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.key = "AKIDNEW"
		f.register("shop/orders", "10.1.0.1")
		w := follow(t, open(t, f, Config{}), orders())
		w.await("error aws_credentials_invalid")
		time.Sleep(time.Hour)
		keys("AKIDNEW")
		from := time.Now()
		if l := w.await(healthy("10.1.0.1")); l.At.Sub(from) > renewAfter+3*DefaultPoll {
			t.Errorf("used after %v", l.At.Sub(from))
		}
	})
}

// TestMalformedInstance: nothing is told to be gone because one instance cannot be read.
func TestMalformedInstance(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1", "10.1.0.2")
		w := follow(t, open(t, f, Config{}), orders())
		w.await(healthy("10.1.0.1", "10.1.0.2"))
		f.register("shop/orders", "not-an-address")
		w.await("error cloudmap_address_invalid")
		f.deregister("shop/orders", "not-an-address")
		w.await(healthy("10.1.0.1", "10.1.0.2"))
	})
}

func TestClosing(t *testing.T) {
	bubble(t, func(t *testing.T, f *fake) {
		f.register("shop/orders", "10.1.0.1")
		s := open(t, f, Config{})
		if err := s.Watch(t.Context(), Target{}, nil); !errors.As(err, &policy.Errors{}) {
			t.Errorf("an invalid target: %v", err)
		}
		w, other := follow(t, s, orders()), follow(t, s, orders())
		w.await(healthy("10.1.0.1"))
		other.stop()
		if !errors.Is(other.err, context.Canceled) {
			t.Errorf("cancelled: %v", other.err)
		}
		f.hanging()
		time.Sleep(10 * time.Second) // a look hangs
		s.Close()
		s.Close()
		<-w.done
		if !errors.Is(w.err, ErrClosed) {
			t.Errorf("closed: %v", w.err)
		}
		if err := s.Watch(t.Context(), orders(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after: %v", err)
		}
		for len(w.looks) > 0 {
			if l := <-w.looks; l.Err != nil {
				t.Errorf("closing was told as %v", l.Err)
			}
		}
	})
}

// TestHosts: AWS gets discovery at a host of its own; an emulator gets everything at one.
func TestHosts(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint, variable, want string
	}{
		"AWS":             {"", "", "data-servicediscovery.eu-central-1.amazonaws.com"},
		"an emulator":     {"http://emulator.test:5000", "", "emulator.test:5000"},
		"by variable":     {"", "AWS_ENDPOINT_URL", "emulator.test:5000"},
		"by its variable": {"", "AWS_ENDPOINT_URL_SERVICEDISCOVERY", "emulator.test:5000"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fake) {
				if c.variable != "" {
					t.Setenv(c.variable, "http://emulator.test:5000")
				}
				f.register("shop/orders", "10.1.0.1")
				follow(t, open(t, f, Config{Endpoint: c.endpoint}), orders()).await(healthy("10.1.0.1"))
				if got := f.asking(); !slices.Equal(got, []string{c.want}) {
					t.Errorf("asked %q", got)
				}
			})
		})
	}
}
