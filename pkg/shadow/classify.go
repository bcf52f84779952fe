package shadow

import (
	"strings"
)

// Class is what became of a pair.
type Class string

// The classes of pairs.
const (
	Compared         Class = "compared"
	Unrepresentative Class = "unrepresentative" // the answers say nothing of what live traffic gets
	TargetFailed     Class = "targetFailed"     // control gave no answer: there is nothing to compare with
)

// Reason is why a pair was not compared.
type Reason string

// The reasons. Those that say that credentials are missing keep an endpoint from ever passing unseen.
const (
	ReasonUnauthorized Reason = "unauthorized" // 401 or 403 on both sides
	ReasonLogin        Reason = "login"        // a redirect to a login on both sides
	ReasonNotModified  Reason = "not_modified" // 304 on both sides
	ReasonThrottled    Reason = "throttled"    // 429 on either side
	ReasonNotLive      Reason = "not_live"     // control answered with a status of a class that live traffic does not get
	ReasonOneBody      Reason = "one_body"     // the same body for nearly all paths
)

// credentials says that a reason means that the requests lacked what live ones have.
func (r Reason) credentials() bool { return r == ReasonUnauthorized || r == ReasonLogin }

// Live is which classes of statuses live traffic gets, by count: Live[4] is how many are 400 to 499. The zero value is not known. Proxies
// count no finer than that.
type Live [6]uint64

// total is the number of answers.
func (l Live) total() uint64 {
	sum := uint64(0)
	for _, n := range l {
		sum += n
	}
	return sum
}

// gets says whether live traffic gets statuses of a class. Of too little traffic nothing is known, and then it may.
func (l Live) gets(status int) bool { return l[statusClass(status)] > 0 || l.total() < minLive }

// statusClass is the index of a status in [Live]; 0 for what is none.
func statusClass(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

// minLive is how many live answers are needed to know what live traffic gets.
const minLive = 100

// classify says what two answers are good for. One-body pairs are only found later, by many answers.
func classify(control, candidate *Answer, live Live) (Class, Reason) {
	if control.Failure != "" {
		return TargetFailed, Reason(known(control.Failure))
	}
	if r := unfit(control, candidate); r != "" {
		return Unrepresentative, r
	}
	if !live.gets(control.Status) {
		return Unrepresentative, ReasonNotLive
	}
	return Compared, ""
}

// unfit says why two answers say nothing of each other, whichever is the control's; empty if they do.
func unfit(a, b *Answer) Reason {
	switch {
	case a.Failure != "" && b.Failure != "":
		return Reason(known(a.Failure))
	case throttled(a) || throttled(b):
		return ReasonThrottled
	case a.Failure != "" || b.Failure != "":
		return ""
	case refuses(a) && refuses(b):
		return ReasonUnauthorized
	case toLogin(a) && toLogin(b), toLogin(a) && refuses(b), refuses(a) && toLogin(b):
		return ReasonLogin
	case a.Status == 304 && b.Status == 304:
		return ReasonNotModified
	}
	return ""
}

func throttled(a *Answer) bool {
	return a.Failure == "" && (a.Status == 429 || grpcStatus(a) == "8")
}

// refuses says that an answer asks for credentials. A gRPC service says so in its status (7 and 16).
func refuses(a *Answer) bool {
	if a.Status == 401 || a.Status == 403 || a.Status == 407 {
		return true
	}
	code := grpcStatus(a)
	return code == "7" || code == "16"
}

// loginWords are parts of addresses of logins.
var loginWords = []string{"login", "logon", "signin", "sign-in", "sign_in", "oauth", "openid", "/authorize", "/auth", "/sso", "saml", "session/new", "unauthorized"}

// toLogin says that an answer sends to a login.
func toLogin(a *Answer) bool {
	switch a.Status {
	case 301, 302, 303, 307, 308:
	default:
		return false
	}
	location := lower(first(a.Headers, "Location"))
	for _, w := range loginWords {
		if strings.Contains(location, w) {
			return true
		}
	}
	return false
}
