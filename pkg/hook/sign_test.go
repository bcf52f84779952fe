package hook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/hook"
)

// signed are the headers of the example that the libraries of Standard Webhooks are tested with.
func signed() (header http.Header, body []byte, at time.Time) {
	return http.Header{
		"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
		"Webhook-Timestamp": {"1614265330"},
		"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0)
}

func TestVerifyExampleOfStandardWebhooks(t *testing.T) {
	header, body, at := signed()
	for _, off := range []time.Duration{0, hook.Tolerance, -hook.Tolerance} {
		if err := hook.Verify(header, body, key(t), at.Add(off)); err != nil {
			t.Errorf("%s: %v", off, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	other, err := hook.ParseKey("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	for name, c := range map[string]struct {
		change func(http.Header)
		body   string
		key    hook.Key
		off    time.Duration
	}{
		"another body":                {body: `{"test": 2432232315}`},
		"another key":                 {key: other},
		"an empty key":                {key: hook.Key{}},
		"too late":                    {off: hook.Tolerance + time.Second},
		"from the future":             {off: -hook.Tolerance - time.Second},
		"another ID":                  {change: set("webhook-id", "msg_x")},
		"no ID":                       {change: func(h http.Header) { h.Del("webhook-id") }},
		"no signature":                {change: func(h http.Header) { h.Del("webhook-signature") }},
		"another time":                {change: set("webhook-timestamp", "1614265331")},
		"a time in other words":       {change: set("webhook-timestamp", "+1614265330")},
		"a time that is none":         {change: set("webhook-timestamp", "now")},
		"a time out of range":         {change: set("webhook-timestamp", "9223372036854775807")},
		"a time before all":           {change: set("webhook-timestamp", "-9223372036854775808")},
		"a version that is not known": {change: set("webhook-signature", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")},
		"part of a signature":         {change: set("webhook-signature", "v1,g0hM9SsE")},
		"an empty signature":          {change: set("webhook-signature", "v1, v1")},
	} {
		header, body, at := signed()
		if c.change != nil {
			c.change(header)
		}
		if c.body != "" {
			body = []byte(c.body)
		}
		k := key(t)
		if c.key != nil {
			k = c.key
		}
		if hook.Verify(header, body, k, at.Add(c.off)) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestKeyIsReplaced: while a key is replaced there are two signatures.
func TestKeyIsReplaced(t *testing.T) {
	header, body, at := signed()
	header.Set("webhook-signature", "v1,AAAA v1a,BBBB "+header.Get("webhook-signature"))
	if err := hook.Verify(header, body, key(t), at); err != nil {
		t.Error(err)
	}
}

func TestParseKey(t *testing.T) {
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for text, ok := range map[string]bool{
		keyText: true, of(24): true, of(64): true,
		"": false, "whsec_": false, of(23): false, of(65): false, keyText[6:]: false, keyText + "\n": false, "whsec_hush!": false, "WHSEC_" + keyText[6:]: false,
	} {
		k, err := hook.ParseKey(text)
		if (err == nil) != ok || ok != (len(k) > 0) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestKeyDoesNotShowItself(t *testing.T) {
	k, secret := key(t), keyText[6:]
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := hook.Config{Key: k}
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+verb+verb+"\n", k, c, &c)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "key", k, "config", c)
	text, err := json.Marshal(map[string]any{"key": k})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(text)
	all := shown.String()
	for _, form := range []string{secret, fmt.Sprintf("%x", raw), fmt.Sprint(raw), strings.Trim(fmt.Sprint(raw), "[]"), string(raw)} {
		if strings.Contains(all, form) {
			t.Errorf("shows %q", form)
		}
	}
}

// FuzzVerify: whatever comes, only what the key has signed passes, by a second writing of the rule.
func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte(`{"test": 2432232314}`), true)
	f.Add("msg_1", "-1", "v1, v1,", []byte(nil), false)
	f.Add("a.b", "1614265331", "", []byte("1."), true)
	k := key(f)
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte, sign bool) {
		mac := hmac.New(sha256.New, k)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		right := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if sign {
			signature += " " + right
		}
		at := time.Unix(1614265330, 0)
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		sent, err := strconv.ParseInt(timestamp, 10, 64)
		good := id != "" && err == nil && strconv.Itoa(int(sent)) == timestamp && sent >= 1614265030 && sent <= 1614265630 && strings.Contains(" "+signature+" ", " "+right+" ")
		if got := hook.Verify(header, body, k, at) == nil; got != good && (got || sign) {
			t.Errorf("accepted: %v, want %v", got, good)
		}
	})
}

// FuzzParseKey: a key that is read is written as it was.
func FuzzParseKey(f *testing.F) {
	f.Add(keyText)
	f.Add("whsec_")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := hook.ParseKey(text)
		if err != nil {
			return
		}
		if len(k) < 24 || len(k) > 64 || text != "whsec_"+base64.StdEncoding.EncodeToString([]byte(k)) {
			t.Errorf("%q gives %d bytes", text, len(k))
		}
	})
}
