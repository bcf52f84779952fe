package shadow

import (
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// TestPatternsOfTheGuide: the pattern of a header has to match all of both values, that of a text takes out what it matches. The rules are those of
// docs/mirrors.md.
func TestPatternsOfTheGuide(t *testing.T) {
	o := Options{Rules: []rule.Rule{
		{Path: "header:location", Action: rule.Tolerate, Pattern: `https://shop\.test/cb\?state=[0-9A-Za-z_-]+`},
		{Endpoint: "/export/orders", Path: "body", Action: rule.Tolerate, Pattern: `(?m)^[^,\n]*,`},
	}}
	to := func(url string) *Answer { return answer(302, "", "location: "+url) }
	csv := func(text string) *Answer { return answer(200, text, "content-type: text/csv") }
	for name, tt := range map[string]struct {
		path string
		a, b *Answer
		want string
	}{
		"another state":         {"/cb", to("https://shop.test/cb?state=x8Kq"), to("https://shop.test/cb?state=Pz01"), ""},
		"another path":          {"/cb", to("https://shop.test/cb?state=x8Kq"), to("https://shop.test/home?state=x8Kq"), "header_changed header:location"},
		"something behind it":   {"/cb", to("https://shop.test/cb?state=x8Kq"), to("https://shop.test/cb?state=x8Kq&admin=1"), "header_changed header:location"},
		"another first column":  {"/export/orders", csv("10:01,a,1\n10:01,b,2\n"), csv("10:02,a,1\n10:02,b,2\n"), ""},
		"another second column": {"/export/orders", csv("10:01,a,1\n10:01,b,2\n"), csv("10:02,a,1\n10:02,x,2\n"), "text body"},
		"at another endpoint":   {"/export/users", csv("10:01,a,1\n"), csv("10:02,a,1\n"), "text body"},
	} {
		if got := differences(t, o, &Pair{Method: "GET", Path: tt.path, Control: tt.a, Candidate: tt.b}); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
