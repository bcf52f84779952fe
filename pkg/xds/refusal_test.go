package xds

import "testing"

func TestCleanMessage(t *testing.T) {
	for in, want := range map[string]string{
		"cannot bind '0.0.0.0:80'":                            "cannot bind '0.0.0.0:80'",
		"Error adding/updating listener(s) a: no such file\n": "Error adding/updating listener(s) a: no such file",
		"two lines\nare kept\r\n":                             "two lines\nare kept",
		"goo.gle/debugonly {\n  x: 1\n}\n: weights are 0\n":   "weights are 0",
		"goo.gle/debugonly without an end\n":                  "goo.gle/debugonly without an end",
		"\n":                                                  "",
	} {
		if got := cleanMessage(in); got != want {
			t.Errorf("cleanMessage(%q) = %q, want %q", in, got, want)
		}
	}
}
