package comparator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

var epoch = time.Unix(1_800_000_000, 0)

func newTestGate(t testing.TB, change func(*policy.Mirror)) *gate {
	m := &policy.Mirror{Name: "m", Methods: []string{"GET"}}
	if change != nil {
		change(m)
	}
	g, errs := newGate(m, hashKey)
	if errs.Err() != nil {
		t.Fatal(errs)
	}
	g.allow(1e6, epoch.Add(-time.Second))
	return g
}

func ask1(g *gate, path, query string, now time.Time) string {
	return g.admit(&question{method: "GET", path: path, query: query, sent: now}, now)
}

// TestTheCapHoldsInAnySecond: at ten times the rate, evenly and in bursts, no second has more than a tenth too much, and evenly nothing is lost.
func TestTheCapHoldsInAnySecond(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for i, rps := range []float64{1, 5, 33.3, 100, 5000, 1, 5, 33.3, 100, 5000} {
		even := i < 5
		g := newTestGate(t, nil)
		g.allow(rps, epoch)
		var asked []time.Time
		now := epoch
		for now.Sub(epoch) < 20*time.Second {
			step := time.Duration(float64(time.Second) / (10 * rps))
			if !even && r.IntN(20) == 0 {
				now = now.Add(50 * step) // and then a burst
				for range 50 {
					if ask1(g, "/a", "", now) == "" {
						asked = append(asked, now)
					}
				}
			}
			now = now.Add(step)
			if ask1(g, "/a", "", now) == "" {
				asked = append(asked, now)
			}
			g.allow(rps, now) // orders come all the time
		}
		most := 0
		for i, from := range asked {
			end, _ := slices.BinarySearchFunc(asked, from.Add(time.Second), time.Time.Compare)
			most = max(most, end-i)
		}
		if float64(most) > max(rps*1.1, rps+1)+1e-9 {
			t.Errorf("%g per second: %d in one second", rps, most)
		}
		if even && float64(len(asked)) < 0.9*20*rps {
			t.Errorf("%g per second: only %d in 20 s", rps, len(asked))
		}
	}
}

func TestNobodyIsAskedWithoutAShareOfTheLimit(t *testing.T) {
	g := newTestGate(t, nil)
	g.allow(0, epoch)
	for i := range 100 {
		if got := ask1(g, "/a", "", epoch.Add(time.Duration(i)*time.Second)); got != dropCap {
			t.Fatalf("%q", got)
		}
	}
}

func TestCopiesThatAreOldAreNotAsked(t *testing.T) {
	g := newTestGate(t, nil)
	for age, want := range map[time.Duration]string{0: "", maxAge: "", maxAge + time.Millisecond: dropStale, -time.Hour: ""} {
		if got := g.admit(&question{method: "GET", path: "/a", sent: epoch.Add(-age)}, epoch); got != want {
			t.Errorf("%v old: %q, want %q", age, got, want)
		}
	}
}

func TestAnIdentityIsAskedForOnceASecond(t *testing.T) {
	g := newTestGate(t, func(m *policy.Mirror) { m.Keep = []string{"cookie", "authorization"} })
	ask := func(cookie string, at time.Duration) string {
		h := http.Header{}
		if cookie != "" {
			h.Set("Cookie", cookie)
		}
		return g.admit(&question{method: "GET", path: "/a", headers: h, sent: epoch.Add(at)}, epoch.Add(at))
	}
	for _, c := range []struct {
		cookie string
		at     time.Duration
		want   string
	}{
		{"a", 0, ""},
		{"a", 999 * time.Millisecond, dropIdentity},
		{"b", 999 * time.Millisecond, ""},
		{"a", time.Second, ""},
		{"a", 1500 * time.Millisecond, dropIdentity},
		{"", 1500 * time.Millisecond, ""},
		{"", 1500 * time.Millisecond, ""},
	} {
		if got := ask(c.cookie, c.at); got != c.want {
			t.Errorf("%q at %v: %q, want %q", c.cookie, c.at, got, c.want)
		}
	}
}

// TestIdentitiesAreBounded: a crowd neither fills the memory nor is asked for more often.
func TestIdentitiesAreBounded(t *testing.T) {
	i := newIdentities(hashKey, []string{"cookie"})
	now, dropped := epoch, 0
	for n := range 3 * maxIdentities {
		now = now.Add(3 * time.Microsecond)
		who := uint64(n + 1)
		if i.may(who, now) {
			i.asked(who, now)
		} else {
			dropped++
		}
	}
	if len(i.last) > maxIdentities || dropped == 0 {
		t.Errorf("%d are known, %d were dropped", len(i.last), dropped)
	}
	if now = now.Add(2 * time.Second); !i.may(1, now) || !i.may(uint64(9*maxIdentities), now) {
		t.Error("after two seconds somebody may still not be asked for")
	}
}

func TestWhatIsSeenWhileLearning(t *testing.T) {
	g := newTestGate(t, func(m *policy.Mirror) { m.Endpoints = []string{"/given/{x}"} })
	g.learning = true
	for i := range 30 {
		if got := ask1(g, fmt.Sprintf("/orders/%d", i), "", epoch); got != dropLearning {
			t.Fatal(got)
		}
	}
	ask1(g, "/given/a", "", epoch)
	ask1(g, "/logout", "", epoch)
	g.admit(&question{method: "SECRETVERB", path: "/a", sent: epoch}, epoch)
	for i := range 10_000 { // names that become ids, and more templates than are listed
		ask1(g, fmt.Sprintf("/n/%c%c%c/x%c%c", 'a'+i%26, 'a'+i/26%26, 'k'+i/676%15, 'a'+i%26, 'a'+i/26%26), "", epoch)
	}
	listed := g.listed()
	if len(listed) > 2*maxSeen {
		t.Errorf("%d lines", len(listed))
	}
	sum := int64(0)
	lines := map[string]int64{}
	for _, p := range listed {
		sum += p.GetCount()
		lines[p.GetMethod()+" "+p.GetEndpoint()+" "+p.GetExcluded()] = p.GetCount()
	}
	for line, n := range map[string]int64{"GET /orders/{id} ": 30, "GET /given/{x} ": 1, "GET /logout path has logout": 1, " /a method": 1} {
		if lines[line] != n {
			t.Errorf("%q: %d, want %d; there are %v", line, lines[line], n, lines)
		}
	}
	if sum != 10_033 {
		t.Errorf("%d in all", sum)
	}
}

func TestWhatLooksLikeASideEffectIsNotAsked(t *testing.T) {
	m := &policy.Mirror{Exclude: []string{"/admin"}, Allow: []string{"/docs/export"}}
	for uri, want := range map[[2]string]string{
		{"/orders/17", "page=2&sort=code"}:           "",
		{"/users/logout", ""}:                        "path has logout",
		{"/users/LogOut/", ""}:                       "path has logout",
		{"/sign-out", ""}:                            "path has signout",
		{"/sign_out.php", ""}:                        "",
		{"/auto-logout.aspx", ""}:                    "path has logout",
		{"/a/%6cogout", ""}:                          "path has logout",
		{"/a/%256cogout", ""}:                        "path has logout",
		{"/a%2flogout", ""}:                          "path has logout",
		{"/a;x=1/unsubscribe;y", ""}:                 "path has unsubscribe",
		{"/verifyEmail/x", ""}:                       "path has verify",
		{"/v1/email:verify", ""}:                     "path has verify",
		{"/oauth/callback", "state=1"}:               "path has callback",
		{"/reports/export", ""}:                      "path has export",
		{"/docs/export", ""}:                         "",
		{"/docs/export/a", "token=x"}:                "",
		{"/docs/exports", ""}:                        "path has exports",
		{"/verified", ""}:                            "",
		{"/exporters", ""}:                           "",
		{"/admin/x", ""}:                             "excludePaths: /admin",
		{"/%61dmin", ""}:                             "excludePaths: /admin",
		{"/administrator", ""}:                       "",
		{"/a", "access_token=1"}:                     "query has token",
		{"/a", "x=1&Token=1"}:                        "query has token",
		{"/a", "resetToken=1"}:                       "query has token",
		{"/a", "accesstoken"}:                        "query has token",
		{"/a", "page_token=1&nextToken=2&pagetoken"}: "",
		{"/a", "%74oken=1"}:                          "query has token",
		{"/a", "code=1"}:                             "query has code",
		{"/a", "country_code=de&zipCode=1"}:          "",
		{"/a", "X-Amz-Signature=ab"}:                 "query has signature",
		{"/a", "sig=ab"}:                             "query has sig",
		{"/a", "a=1;otp=2"}:                          "query has otp",
		{"/a", "user[password]=2"}:                   "query has password",
		{"/a", "design=2&passenger=1"}:               "",
		{"/a", "api_key=2"}:                          "query has apikey",
	} {
		got := outside(m, uri[0])
		if got == "" {
			got = exclusion(m, uri[0], uri[1])
		}
		if got != want {
			t.Errorf("%s?%s: %q, want %q", uri[0], uri[1], got, want)
		}
	}
}
