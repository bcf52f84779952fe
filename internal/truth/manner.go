package truth

import (
	"net/http"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// Manner is how both origins answer alike, so that a comparison of them would seem to say that all is well.
type Manner string

// The manners.
const (
	AsTheWorld   Manner = ""             // as the world says
	Unauthorized Manner = "unauthorized" // 401 to whoever has no credentials
	Login        Manner = "login"        // a redirect to a login for those
	OneBody      Manner = "onebody"      // the same page for all paths
	NotModified  Manner = "notmodified"  // 304 to all
	Throttled    Manner = "throttled"    // 429 to one of four copies
)

// reply is the answer to the nth request; it is not ok if the world answers.
func (m Manner) reply(r *http.Request, nth uint64) (out shadowtest.Reply, ok bool) {
	known := r.Header.Get("authorization") != "" || r.Header.Get("cookie") != ""
	say := func(status int, header, value, body string) (shadowtest.Reply, bool) {
		h := map[string][]string{"Content-Type": {"application/json"}}
		if header != "" {
			h[header] = []string{value}
		}
		return shadowtest.Reply{Status: status, Headers: h, Body: []byte(body)}, true
	}
	switch {
	case m == Unauthorized && !known:
		return say(http.StatusUnauthorized, "Www-Authenticate", "Bearer", `{"error":"who are you?"}`)
	case m == Login && !known:
		return say(http.StatusFound, "Location", "/login", "")
	case m == OneBody:
		return say(http.StatusOK, "", "", `{"state":"down for maintenance"}`)
	case m == NotModified:
		return say(http.StatusNotModified, "Etag", `"1"`, "")
	case m == Throttled && r.Header.Get("x-shadow") != "" && nth%4 == 0:
		return say(http.StatusTooManyRequests, "Retry-After", "1", `{"error":"not so fast"}`)
	}
	return out, false
}
