package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
	"github.com/crossfade-proxy/crossfade/pkg/access"
	"github.com/crossfade-proxy/crossfade/pkg/access/attempts"
	"github.com/crossfade-proxy/crossfade/pkg/server"
)

// sightRoles are an admin, and a viewer and an operator of orders and of all that begins with pay-.
var sightRoles = map[string][]access.Member{
	access.Admin:    {member("admin")},
	access.Viewer:   {member("viewer", "orders", "pay-*"), member("viewer-all")},
	access.Operator: {member("operator", "orders")},
}

// newSight serves the services orders, pay-0 to pay-3, and search-0 to search-3, which were applied one after the other.
func newSight(t *testing.T) (*guarded, *attempts.Log) {
	t.Helper()
	log := attempts.Open(filepath.Join(t.TempDir(), "denied.json"), slog.New(slog.DiscardHandler))
	g := startGuarded(t, server.Config{Controller: newController(t), Attempts: log}, sightRoles)
	admin, _ := g.as("admin")
	for _, name := range []string{"orders", "search-0", "pay-0", "search-1", "pay-1", "search-2", "pay-2", "search-3", "pay-3"} {
		if _, err := admin.Apply(t.Context(), &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{service(name)}}); err != nil {
			t.Fatal(err)
		}
	}
	return g, log
}

func TestListsShowWhatTheCallerMaySee(t *testing.T) {
	g, _ := newSight(t)
	viewer, _ := g.as("viewer")
	ctx := t.Context()
	var names []string
	for token := ""; ; {
		got, err := viewer.List(ctx, &crossfadev1.ListRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.GetItems()) != 2 && got.GetNextPageToken() != "" {
			t.Errorf("a page of %d that is not the last", len(got.GetItems()))
		}
		for _, s := range got.GetItems() {
			names = append(names, s.GetName())
		}
		if token = got.GetNextPageToken(); token == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "orders pay-0 pay-1 pay-2 pay-3" {
		t.Errorf("services: %s", got)
	}
	endpoints, err := viewer.ListEndpoints(ctx, &crossfadev1.ListEndpointsRequest{})
	if err != nil || len(endpoints.GetItems()) != 10 || len(endpoints.GetOrigins()) != 10 {
		t.Errorf("%d endpoints of %d origins, %v; want 10 of 10", len(endpoints.GetItems()), len(endpoints.GetOrigins()), err)
	}
	for host, want := range map[string]string{"pay-1.test": "pay-1", "nowhere.test": "", "search-1.test": ""} {
		got, err := viewer.ExplainRoute(ctx, &crossfadev1.ExplainRouteRequest{Host: host})
		if err != nil || got.GetService() != want || want == "" && !slices.Equal(got.GetSteps(), []string{"no service that you may see gets this request"}) {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	for _, m := range []*crossfadev1.ListEndpointsRequest{{Service: "search-0"}, {Service: "gone"}} {
		if _, err := viewer.ListEndpoints(ctx, m); status.Code(err) != codes.PermissionDenied {
			t.Errorf("endpoints of %s: %v: what is not there must look like what may not be seen", m.GetService(), err)
		}
	}
}

// TestRolesForOneServiceTakeNothingFromOthers: hosts and paths below those of another service need the right to that one, too.
func TestRolesForOneServiceTakeNothingFromOthers(t *testing.T) {
	g, _ := newSight(t)
	operator, _ := g.as("operator")
	admin, _ := g.as("admin")
	doc := func(change func(*crossfadev1.Service)) *crossfadev1.ApplyRequest {
		d := service("orders")
		change(d.GetService())
		return &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{d}}
	}
	taking := doc(func(s *crossfadev1.Service) { s.Hosts, s.PathPrefixes = []string{"search-1.test"}, []string{"/login"} })
	_, err := operator.Apply(t.Context(), taking)
	if status.Code(err) != codes.PermissionDenied || strings.Contains(err.Error(), "search") {
		t.Errorf("a path below another's: %v", err)
	}
	if _, err := operator.Apply(t.Context(), doc(func(s *crossfadev1.Service) { s.Hosts = append(s.Hosts, "orders.elsewhere.test") })); err != nil {
		t.Errorf("a host that nobody has: %v", err)
	}
	if _, err := admin.Apply(t.Context(), taking); err != nil {
		t.Errorf("who may change both: %v", err)
	}
	taking.Documents[0].GetService().Split = &crossfadev1.Split{Weights: map[string]int32{"ecs": 5000, "eks": 5000}}
	if _, err := operator.Apply(t.Context(), taking); err != nil {
		t.Errorf("what it has taken before: %v", err)
	}
}

// pages reads the history to its end.
func pages(t *testing.T, c crossfadev1.CrossfadeServiceClient, service string, size int32, between func()) (items []*crossfadev1.Revision) {
	t.Helper()
	for token := ""; ; {
		got, err := c.ListHistory(t.Context(), &crossfadev1.ListHistoryRequest{Service: service, PageSize: size, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if items = append(items, got.GetItems()...); len(got.GetItems()) > int(size) {
			t.Fatalf("a page of %d", len(got.GetItems()))
		}
		if token = got.GetNextPageToken(); token == "" {
			return items
		}
		between()
	}
}

// inWords says what items are: "7 orders", or "denied pay-0".
func inWords(items []*crossfadev1.Revision) string {
	var out []string
	for _, r := range items {
		if r.GetDenied() != nil {
			out = append(out, fmt.Sprintf("denied %s %s x%d", r.GetDenied().GetMethod(), r.GetService(), r.GetDenied().GetCount()))
		} else {
			out = append(out, fmt.Sprintf("%d %s", r.GetRevision(), r.GetService()))
		}
	}
	return strings.Join(out, ", ")
}

// TestRefusedAttemptsAreInTheHistory in their place in time, for admins and who may see the service; pages of any size show the same, each item once.
func TestRefusedAttemptsAreInTheHistory(t *testing.T) {
	g, _ := newSight(t)
	ctx := t.Context()
	operator, _ := g.as("operator")
	stranger, _ := g.as("stranger")
	admin, _ := g.as("admin")
	refuse := func(c crossfadev1.CrossfadeServiceClient, r *crossfadev1.RollbackRequest) {
		t.Helper()
		if _, err := c.Rollback(ctx, r); status.Code(err) != codes.PermissionDenied {
			t.Fatalf("not refused: %v", err)
		}
	}
	for range 3 {
		refuse(operator, &crossfadev1.RollbackRequest{Service: "pay-1"})
	}
	refuse(operator, &crossfadev1.RollbackRequest{Service: "search-1"})
	refuse(operator, &crossfadev1.RollbackRequest{All: true})
	if _, err := admin.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": 100}}); err != nil {
		t.Fatal(err)
	}
	refuse(stranger, &crossfadev1.RollbackRequest{Service: "orders"})

	all := "denied Rollback orders x1, 10 orders, denied Rollback  x1, denied Rollback search-1 x1, denied Rollback pay-1 x3, " +
		"9 pay-3, 8 search-3, 7 pay-2, 6 search-2, 5 pay-1, 4 search-1, 3 pay-0, 2 search-0, 1 orders"
	var some []string
	for item := range strings.SplitSeq(all, ", ") {
		if strings.Contains(item, "orders") || strings.Contains(item, "pay-") {
			some = append(some, item)
		}
	}
	viewer, _ := g.as("viewer")
	viewerAll, _ := g.as("viewer-all")
	for size := int32(1); size < 16; size++ {
		if got := inWords(pages(t, admin, "", size, func() {})); got != all {
			t.Errorf("admin, pages of %d: %s\nwant %s", size, got, all)
		}
		if got, want := inWords(pages(t, viewer, "", size, func() {})), strings.Join(some, ", "); got != want {
			t.Errorf("viewer of some, pages of %d: %s\nwant %s", size, got, want)
		}
		if got, want := inWords(pages(t, viewerAll, "", size, func() {})), strings.Replace(all, "denied Rollback  x1, ", "", 1); got != want {
			t.Errorf("viewer of all, pages of %d: %s\nwant %s", size, got, want)
		}
		if got, want := inWords(pages(t, viewer, "pay-1", size, func() {})), "denied Rollback pay-1 x3, 5 pay-1"; got != want {
			t.Errorf("of one service, pages of %d: %s\nwant %s", size, got, want)
		}
	}
	// What happens between two pages is on neither.
	n := 0
	got := inWords(pages(t, admin, "", 2, func() {
		n++
		refuse(stranger, &crossfadev1.RollbackRequest{Service: fmt.Sprint("pay-", n)})
		if _, err := admin.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: "orders", Weights: map[string]int32{"eks": int32(100 + n)}}); err != nil {
			t.Fatal(err)
		}
	}))
	if got != all {
		t.Errorf("with changes between pages: %s\nwant %s", got, all)
	}
	first := pages(t, admin, "pay-1", 10, func() {})[1]
	if first.GetAction() != "denied" || first.GetWho() != id("operator") || !first.GetVerified() || first.GetDenied().GetRole() != "operator" || first.GetRevision() != 0 ||
		first.GetDenied().GetLast().AsTime().Before(first.GetTime().AsTime()) {
		t.Errorf("got %v", first)
	}
	if said := g.log.String(); strings.Count(said, "a call was refused") != 4+n {
		t.Errorf("the log does not have each kind of refusal once:\n%s", said)
	}
}

// TestAFloodOfRefusalsSlowsNobody: who is refused all the time fills neither history nor log, and a rollback is as fast as before.
func TestAFloodOfRefusalsSlowsNobody(t *testing.T) {
	g, log := newSight(t)
	stranger, _ := g.as("stranger")
	operator, _ := g.as("operator")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			_, _ = stranger.Get(ctx, &crossfadev1.GetRequest{Kind: "service", Name: fmt.Sprint("s", n)})
		}
		done <- n
	}()
	slowest := time.Duration(0)
	for range 30 {
		began := time.Now()
		if _, err := operator.Rollback(t.Context(), &crossfadev1.RollbackRequest{Service: "orders", Options: &crossfadev1.ChangeOptions{Wait: crossfadev1.Wait_WAIT_NONE}}); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
	}
	stop()
	n := <-done
	t.Logf("%d refusals beside 30 rollbacks, the slowest of which took %s", n, slowest)
	if kept := len(log.List(0)); n > attempts.MaxOfACaller && kept > attempts.MaxOfACaller {
		t.Errorf("%d attempts are kept of %d", kept, n)
	}
}

// TestWhoMadeAChange is the name in the certificate, whatever the caller says.
func TestWhoMadeAChange(t *testing.T) {
	g, _ := newSight(t)
	ctx := t.Context()
	operator, _ := g.as("operator")
	plain, _ := g.with(certtest.Spec{Name: "build"})
	for i, actor := range []string{"", "root@laptop", id("operator")} {
		if _, err := operator.SetSplit(ctx, &crossfadev1.SetSplitRequest{
			Service: "orders", Weights: map[string]int32{"eks": int32(100 * (i + 1))}, Options: &crossfadev1.ChangeOptions{Actor: actor},
		}); err != nil {
			t.Fatal(err)
		}
	}
	var who []string
	for _, r := range pages(t, operator, "orders", 3, func() {})[:3] {
		if !r.GetVerified() {
			t.Errorf("revision %d is not verified", r.GetRevision())
		}
		who = append(who, r.GetWho())
	}
	if want := []string{id("operator"), id("operator") + " (as root@laptop)", id("operator")}; !slices.Equal(who, want) {
		t.Errorf("who: %q, want %q", who, want)
	}
	me, err := plain.CanI(ctx, &crossfadev1.CanIRequest{Verb: "rollback", Service: "orders"})
	if err != nil || me.GetName() != "build" || !me.GetVerified() || !me.GetEnforced() || me.GetAllowed() || len(me.GetRoles()) != 0 {
		t.Errorf("got %v, %v", me, err)
	}
	me, err = operator.CanI(ctx, &crossfadev1.CanIRequest{Verb: "split", Service: "orders"})
	if err != nil || !me.GetAllowed() || me.GetMethod() != "SetSplit" || me.GetRoles()[0].GetRole() != "operator" || me.GetRoles()[0].GetServices()[0] != "orders" {
		t.Errorf("got %v, %v", me, err)
	}
	if _, err = operator.CanI(ctx, &crossfadev1.CanIRequest{Verb: "fly"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a word that means nothing: %v", err)
	}
}

// TestWatchesShowAndEndAsRolesSay: a watch shows what its caller may see by the rules of the moment, and ends at once when that is nothing.
func TestWatchesShowAndEndAsRolesSay(t *testing.T) {
	g, _ := newSight(t)
	viewer, _ := g.as("viewer")
	admin, _ := g.as("admin")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	w, err := viewer.Watch(ctx, &crossfadev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := viewer.WatchEndpoints(ctx, &crossfadev1.WatchEndpointsRequest{Service: "pay-0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := endpoints.Recv(); err != nil {
		t.Fatal(err)
	}
	split := func(service string, weight int32) {
		t.Helper()
		if _, err := admin.SetSplit(ctx, &crossfadev1.SetSplitRequest{Service: service, Weights: map[string]int32{"eks": weight}}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	until := func(service string, weight int32) {
		t.Helper()
		for {
			e, err := w.Recv()
			if err != nil {
				t.Fatalf("seen so far: %v; %v", seen, err)
			}
			if name := e.GetService().GetName() + e.GetRevision().GetService(); name != "" {
				seen[name] = true
			}
			if e.GetService().GetName() == service && e.GetService().GetSplit()["eks"] == weight {
				return
			}
		}
	}
	until("pay-3", 0)
	split("search-0", 100)
	split("orders", 100)
	until("orders", 100)
	for name := range seen {
		if strings.HasPrefix(name, "search") {
			t.Errorf("a viewer of others sees %s", name)
		}
	}
	// More by other rules: the same watch goes on.
	roles := map[string][]access.Member{access.Admin: {member("admin")}, access.Viewer: {member("viewer", "orders", "search-0")}}
	g.api.SetAccess(access.New(roles))
	for err == nil { // what was on its way comes first
		_, err = endpoints.Recv()
	}
	if refusal(err) != "access_denied" {
		t.Errorf("a watch of a service that may not be seen any more: %v", err)
	}
	split("pay-0", 100)
	split("search-0", 200)
	clear(seen)
	until("search-0", 200)
	if seen["pay-0"] {
		t.Error("by the old rules")
	}
	delete(roles, access.Viewer)
	err = nil
	began := time.Now()
	g.api.SetAccess(access.New(roles))
	for err == nil {
		_, err = w.Recv()
	}
	if took := time.Since(began); refusal(err) != "access_denied" || took > 30*time.Second {
		t.Errorf("after %s: %v", took, err)
	} else {
		t.Logf("ended after %s", took)
	}
}

// refusal is the code of an error, empty if it is another.
func refusal(err error) string {
	if status.Code(err) != codes.PermissionDenied {
		return ""
	}
	for _, d := range status.Convert(err).Details() {
		if d, ok := d.(*crossfadev1.ErrorDetail); ok {
			return d.GetCode()
		}
	}
	return ""
}

// TestACertificateWithoutANameIsRefused with what is wrong with it.
func TestACertificateWithoutANameIsRefused(t *testing.T) {
	g, _ := newSight(t)
	c, _ := g.with(certtest.Spec{})
	_, err := c.CanI(t.Context(), &crossfadev1.CanIRequest{})
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "the certificate has no name") {
		t.Errorf("got %v", err)
	}
}
