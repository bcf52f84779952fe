package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

func TestPagesHoldEveryServiceOnce(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("s%d", i))
	}
	f.apply(t, want...)
	for _, size := range []int32{0, 1, 2, 3, 7, 8, 1000} {
		var got []string
		for token, calls := "", 0; calls == 0 || token != ""; calls++ {
			p, err := f.List(t.Context(), &crossfadev1.ListRequest{PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			if size > 0 && len(p.GetItems()) > int(size) || len(p.GetItems()) == 0 {
				t.Errorf("pages of %d: one has %d items", size, len(p.GetItems()))
			}
			for _, s := range p.GetItems() {
				got = append(got, s.GetName())
			}
			token = p.GetNextPageToken()
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d hold %v", size, got)
		}
	}
}

func TestAPageGoesOnWhereTheLastEndedThoughItsLastServiceIsGone(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "a", "b", "c")
	first, err := f.List(t.Context(), &crossfadev1.ListRequest{PageSize: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Delete(t.Context(), &crossfadev1.DeleteRequest{Kind: "service", Name: "b"}); err != nil {
		t.Fatal(err)
	}
	next, err := f.List(t.Context(), &crossfadev1.ListRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	if err != nil || len(next.GetItems()) != 1 || next.GetItems()[0].GetName() != "c" || next.GetNextPageToken() != "" {
		t.Errorf("%v, %v; want c and no more", next, err)
	}
}

func TestHistoryPagesAreNewestFirstAndHaveNoGap(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "orders", "carts")
	for i := range 6 {
		_, err := f.SetSplit(t.Context(), &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": int32(i + 1)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for service, want := range map[string]string{"orders": "[8 7 6 5 4 3 1]", "": "[8 7 6 5 4 3 2 1]"} {
		var got []int64
		for token, calls := "", 0; calls == 0 || token != ""; calls++ {
			p, err := f.ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{Service: service, PageSize: 2, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range p.GetItems() {
				got = append(got, r.GetRevision())
			}
			token = p.GetNextPageToken()
		}
		if fmt.Sprint(got) != want {
			t.Errorf("history of %q: %v, want %s", service, got, want)
		}
	}
}

func TestProxiesAreInOrderWhateverTheControllerSays(t *testing.T) {
	shuffled := []*crossfadev1.Proxy{{Fleet: "b", Proxy: "1"}, {Fleet: "a", Proxy: "2"}, {Fleet: "a", Proxy: "1"}}
	f := start(t, server.Config{Controller: &stub{proxies: shuffled}})
	var got []string
	for token, calls := "", 0; calls == 0 || token != ""; calls++ {
		p, err := f.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range p.GetItems() {
			got = append(got, x.GetFleet()+"/"+x.GetProxy())
		}
		token = p.GetNextPageToken()
	}
	if strings.Join(got, " ") != "a/1 a/2 b/1" {
		t.Errorf("proxies %v", got)
	}
}

func TestALargePageEndsEarly(t *testing.T) {
	var proxies []*crossfadev1.Proxy
	for i := range 9 {
		proxies = append(proxies, &crossfadev1.Proxy{Fleet: "a", Proxy: fmt.Sprint(i), Detail: strings.Repeat("x", 1<<20)})
	}
	f := start(t, server.Config{Controller: &stub{proxies: proxies}})
	p, err := f.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{})
	if err != nil || len(p.GetItems()) != 3 || p.GetNextPageToken() == "" {
		t.Errorf("%d items, token %q, %v; want the 3 that fit into 4 MiB", len(p.GetItems()), p.GetNextPageToken(), err)
	}
}

func TestATokenOfSomethingElseIsRefused(t *testing.T) {
	f := start(t, server.Config{Controller: newController(t)})
	f.apply(t, "a", "b")
	p, err := f.List(t.Context(), &crossfadev1.ListRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := p.GetNextPageToken()
	flipped := []byte(token)
	flipped[0] ^= 1
	for name, call := range map[string]func() error{
		"other filter": func() error {
			_, err := f.List(t.Context(), &crossfadev1.ListRequest{PageToken: token, Fleet: "default"})
			return err
		},
		"other list": func() error {
			_, err := f.ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{PageToken: token})
			return err
		},
		"not a token": func() error {
			_, err := f.List(t.Context(), &crossfadev1.ListRequest{PageToken: "a"})
			return err
		},
		"not base64": func() error {
			_, err := f.List(t.Context(), &crossfadev1.ListRequest{PageToken: "%%%"})
			return err
		},
		"changed": func() error {
			_, err := f.List(t.Context(), &crossfadev1.ListRequest{PageToken: string(flipped)})
			return err
		},
		"too long": func() error {
			_, err := f.ListProxies(t.Context(), &crossfadev1.ListProxiesRequest{PageToken: strings.Repeat("A", 100_000)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			problems, _ := details(t, err)
			if status.Code(err) != codes.InvalidArgument || len(problems) != 1 || problems[0].GetCode() != "page_token" {
				t.Errorf("%v with %v", err, problems)
			}
		})
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add("services\x00", "orders")
	f.Add("", "")
	f.Add("history\x00orders", "17")
	f.Fuzz(func(t *testing.T, list, last string) {
		if len(last) > 1000 {
			return
		}
		got, err := server.ReadToken(server.NewToken(list, last), list)
		if last != "" && (err != nil || got != last) {
			t.Errorf("token of %q: %q, %v", last, got, err)
		}
		if got, err := server.ReadToken(last, list); err == nil && last != "" && server.NewToken(list, got) != last {
			t.Errorf("%q is taken as a token of %q", last, got)
		}
	})
}
