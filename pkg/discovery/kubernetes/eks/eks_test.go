package eks

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

func signer(cluster, region string, session string) *Signer {
	return newSigner(cluster, aws.Config{Region: region, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret-of-the-test", session)})
}

// TestTokenIsWhatClustersRead holds a token against what the authenticator of EKS checks before it asks AWS.
func TestTokenIsWhatClustersRead(t *testing.T) {
	for region, host := range map[string]string{
		"eu-central-1": "sts.eu-central-1.amazonaws.com",
		"us-east-1":    "sts.us-east-1.amazonaws.com",
		"cn-north-1":   "sts.cn-north-1.amazonaws.com.cn",
	} {
		now := time.Now()
		token, err := signer("prod", region, "session").Sign(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		encoded, ok := strings.CutPrefix(token.Value, "k8s-aws-v1.")
		if !ok {
			t.Fatalf("token %q", token.Value)
		}
		text, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme != "https" || u.Host != host || u.Path != "/" {
			t.Errorf("asks %s://%s%s, want https://%s/", u.Scheme, u.Host, u.Path, host)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"Action": "GetCallerIdentity", "Version": "2011-06-15", "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": "60",
			"X-Amz-SignedHeaders": "host;x-k8s-aws-id", "X-Amz-Security-Token": "session",
		} {
			if got := q.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if !strings.HasPrefix(q.Get("X-Amz-Credential"), "AKIDEXAMPLE/") || !strings.HasSuffix(q.Get("X-Amz-Credential"), "/"+region+"/sts/aws4_request") || len(q.Get("X-Amz-Signature")) != 64 {
			t.Errorf("signed %v", q)
		}
		if signed, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date")); err != nil || signed.Sub(now).Abs() > time.Minute {
			t.Errorf("signed at %v, %v", signed, err)
		}
		if token.Expires != now.Add(14*time.Minute) {
			t.Errorf("expires %v after", token.Expires.Sub(now))
		}
		if strings.Contains(string(text), "secret-of-the-test") {
			t.Error("the token has the secret key")
		}
	}
}

// TestTokensAreOfOneCluster: the name of the cluster is signed, so that a token of one is none of another.
func TestTokensAreOfOneCluster(t *testing.T) {
	signature := func(cluster string) string {
		token, err := signer(cluster, "eu-central-1", "").Sign(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.Value, prefix))
		if err != nil {
			t.Fatal(err)
		}
		return string(text[strings.Index(string(text), "X-Amz-Signature="):])
	}
	if signature("a") == signature("b") {
		t.Error("the same signature for two clusters")
	}
}

func TestTokenEndsWithItsCredentials(t *testing.T) {
	now := time.Now()
	s := newSigner("prod", aws.Config{Region: "eu-central-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "B", CanExpire: true, Expires: now.Add(5 * time.Minute)}, nil
	})})
	token, err := s.Sign(t.Context(), now)
	if err != nil || token.Expires != now.Add(5*time.Minute) {
		t.Errorf("expires %v after, %v", token.Expires.Sub(now), err)
	}
}

func TestNoCredentials(t *testing.T) {
	none := errors.New("no role here")
	s := NewSource(newSigner("prod", aws.Config{Region: "eu-central-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, none
	})}))
	_, err := s.Token(t.Context())
	if bad := (*TokenError)(nil); !errors.As(err, &bad) || !errors.Is(err, none) {
		t.Errorf("got %v", err)
	}
	if _, err := newSigner("prod", aws.Config{Region: "eu-central-1"}).Sign(t.Context(), time.Now()); err == nil {
		t.Error("signed without credentials")
	}
}

// TestSource walks through the life of tokens by a clock of its own.
func TestSource(t *testing.T) {
	now, signed := time.Unix(1_700_000_000, 0), 0
	var fail error
	s := &Source{now: func() time.Time { return now }, sign: func(_ context.Context, at time.Time) (Token, error) {
		signed++
		return Token{Value: "token" + string(rune('0'+signed)), Expires: at.Add(tokenLife)}, fail
	}}
	for _, step := range []struct {
		after time.Duration
		fail  error
		want  string // empty: an error
	}{
		{0, nil, "token1"},
		{9*time.Minute + 59*time.Second, nil, "token1"},
		{time.Second, nil, "token2"}, // 10 minutes old: long before its 15 pass
		{10 * time.Minute, errors.New("down"), "token2"},
		{3*time.Minute + 59*time.Second, errors.New("down"), "token2"},
		{time.Second, errors.New("down"), ""}, // its 14 minutes have passed
		{0, nil, "token6"},
	} {
		now, fail = now.Add(step.after), step.fail
		got, err := s.Token(t.Context())
		if step.want == "" {
			if err == nil || !strings.Contains(err.Error(), "expired at") {
				t.Errorf("at %v: %q, %v", now, got, err)
			}
			continue
		}
		if err != nil || got != step.want {
			t.Errorf("at %v: %q, %v, want %q", now, got, err, step.want)
		}
	}
	s.Refused("token5")
	if got, err := s.Token(t.Context()); err != nil || got != "token6" {
		t.Errorf("an old token was refused, got %q, %v", got, err)
	}
	s.Refused("token6")
	if got, err := s.Token(t.Context()); err != nil || got != "token7" {
		t.Errorf("refused, got %q, %v", got, err)
	}
}

// TestTransport: each request has the token; a refused one is replaced; many at once sign once.
func TestTransport(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") == "Bearer t1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	signed := 0
	source := &Source{now: time.Now, sign: func(_ context.Context, at time.Time) (Token, error) {
		signed++
		return Token{Value: "t" + string(rune('0'+signed)), Expires: at.Add(tokenLife)}, nil
	}}
	client := &http.Client{Transport: &Transport{Source: source, Next: http.DefaultTransport}}
	get := func() {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
	get()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(get)
	}
	wg.Wait()
	if signed != 2 || len(seen) != 11 || seen[0] != "Bearer t1" || seen[1] != "Bearer t2" || seen[10] != "Bearer t2" {
		t.Errorf("signed %d, seen %v", signed, seen)
	}
}
