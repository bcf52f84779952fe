package comparator

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestWhenACopyWasSent(t *testing.T) {
	for s, want := range map[string]int64{"1700000000.123": 1_700_000_000_123, "0.000": 0} {
		if got, ok := parseSent(s); !ok || got.UnixMilli() != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	for _, s := range []string{"", "1700000000", "1700000000.", ".123", "1700000000.1234", "17e8.000", "-1.000", "+1.000", "999999999999.000", " 1.000", "-"} {
		if _, ok := parseSent(s); ok {
			t.Errorf("%q is taken", s)
		}
	}
}

func FuzzHeadersOfCopies(f *testing.F) {
	f.Add("m/r1", "1700000000.123", "10.0.0.1, 10.0.0.2", "br, gzip;q=0.5", "x-a, x-b")
	f.Add("//", "1e9.000", ",,", "*;q=0", "connection,te")
	f.Fuzz(func(t *testing.T, key, sent, forwarded, encodings, connection string) {
		if isRunKey(key) && (len(key) > 129 || strings.ContainsAny(key, "\x00\n \",")) {
			t.Errorf("%q names a run", key)
		}
		if at, ok := parseSent(sent); ok && (at.Before(time.Unix(0, 0)) || at.Year() > 5200) {
			t.Errorf("%q is %v", sent, at)
		}
		h := http.Header{
			"X-Forwarded-For": {forwarded}, "Accept-Encoding": {encodings}, "Connection": {connection}, "X-Cf-Mirror": {key}, "X-A": {"1"}, "X-Shadow": {"m"}, "If-Match": {"x"},
		}
		h = cleaned(h, false)
		for _, gone := range []string{"Connection", "X-Cf-Mirror", "If-Match"} {
			if h[gone] != nil {
				t.Errorf("%s is still there", gone)
			}
		}
		if got := strings.Join(h["X-Forwarded-For"], ","); strings.Count(got, ",") > max(strings.Count(forwarded, ",")-1, 0) {
			t.Errorf("%q of %q", got, forwarded)
		}
		for _, banned := range []string{"br", "zstd"} {
			for _, v := range h["Accept-Encoding"] {
				if slices.Contains(strings.Split(v, ", "), banned) {
					t.Errorf("%q accepts %s", v, banned)
				}
			}
		}
	})
}

// FuzzExclusion: nothing panics, what is excluded stays so in capitals and encoded, and the reason shows nothing of the path.
func FuzzExclusion(f *testing.F) {
	f.Add("/a/logout", "token=1")
	f.Add("/%6cogout;x", "%74oken")
	f.Add("/a/%", "a[%")
	f.Fuzz(func(t *testing.T, path, query string) {
		m := &policy.Mirror{}
		why := exclusion(m, path, query)
		if why != "" && !strings.HasPrefix(why, "path has ") && !strings.HasPrefix(why, "query has ") {
			t.Errorf("%q", why)
		}
		word := why[strings.LastIndexByte(why, ' ')+1:]
		if why != "" && !acts[word] && !once[word] && word != "code" && word != "pass" && word != "token" {
			t.Errorf("%q is not a word of ours", word)
		}
		if got := exclusion(m, path+"/logout", query); got == "" {
			t.Errorf("%q/logout is asked", path)
		}
		if got := exclusion(m, "/LOGOUT/"+path, query); got == "" {
			t.Errorf("/LOGOUT/%q is asked", path)
		}
	})
}
