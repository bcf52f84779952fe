package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/certtest"
)

const (
	withAnn    = "proxies: []\nroles: {admin: [root], viewer: [ann]}\n"
	withoutAnn = "proxies: []\nroles: {admin: [root]}\n"
)

// TestRolesAreReadAnew: whoever loses a role loses what it watches, soon after the file says so, and a file that is bad changes nothing.
func TestRolesAreReadAnew(t *testing.T) {
	s := launchSecure(t)
	certtest.Replace(t, s.settings, []byte(withAnn))
	s.signal(syscall.SIGHUP)
	client := func(name string) crossfadev1.CrossfadeServiceClient {
		c := s.ca.Issue(certtest.Spec{Name: name})
		return crossfadev1.NewCrossfadeServiceClient(s.dial(s.ready.API, s.as(&c)))
	}
	ann, root := client("ann"), client("root")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	mayList := func() bool {
		got, err := ann.CanI(ctx, &crossfadev1.CanIRequest{Verb: "list"})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetAllowed()
	}
	s.await("a role for ann", mayList)
	if _, err := root.Apply(ctx, &crossfadev1.ApplyRequest{Documents: []*crossfadev1.Document{orders("127.0.0.2:8080", "127.0.0.3:8080")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := ann.Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders"}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a viewer rolls back: %v", err)
	}
	watch, err := ann.Watch(ctx, &crossfadev1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	certtest.Replace(t, s.settings, []byte("proxies: []\nroles: {admin: nobody}\n"))
	s.await("a word about the bad file", func() bool { return len(lacks(s.stderr.String(), []string{"was not read anew"})) == 0 })
	if !mayList() {
		t.Error("a bad file takes a role away")
	}
	certtest.Replace(t, s.settings, []byte(withoutAnn))
	began := time.Now()
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.PermissionDenied || mayList() {
		t.Errorf("the watch of who has no role any more: %v", err)
	}
	t.Logf("the watch ended %s after the file was replaced", time.Since(began))
}

// TestRefusedAttemptsOutliveAKill: what was refused some seconds before is in the history afterwards.
func TestRefusedAttemptsOutliveAKill(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	s := &secureServer{ca: certtest.New(t, "authority"), settings: filepath.Join(dir, "settings.yaml")}
	files := s.ca.Write(dir, "server", s.ca.Issue(certtest.Spec{DNS: []string{"control.test"}}))
	certtest.Replace(t, s.settings, []byte(withAnn))
	flags := []string{"--dev=false", "--tls-cert", files.Cert, "--tls-key", files.Key, "--tls-client-ca", files.CA, "--config", s.settings}
	s.process = launch(t, data, flags...)
	eve, root := s.ca.Issue(certtest.Spec{Name: "eve"}), s.ca.Issue(certtest.Spec{Name: "root"})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	denied := func() (found []*crossfadev1.Revision) {
		got, err := crossfadev1.NewCrossfadeServiceClient(s.dial(s.ready.API, s.as(&root))).ListHistory(ctx, &crossfadev1.ListHistoryRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.GetItems() {
			if r.GetDenied().GetMethod() == "Rollback" {
				found = append(found, r)
			}
		}
		return found
	}
	for range 2 {
		_, err := crossfadev1.NewCrossfadeServiceClient(s.dial(s.ready.API, s.as(&eve))).Rollback(ctx, &crossfadev1.RollbackRequest{Service: "orders"})
		if status.Code(err) != codes.PermissionDenied {
			t.Fatal(err)
		}
	}
	if n := len(denied()); n != 1 {
		t.Errorf("%d kinds of attempts in the history, want 1", n)
	}
	s.await("the file", func() bool {
		b, err := os.ReadFile(filepath.Join(data, attemptsFile))
		return err == nil && strings.Contains(string(b), `"count":2`)
	})
	s.signal(syscall.SIGKILL)
	s.exit()
	s.process = launch(t, data, flags...)
	got := denied()
	if len(got) != 1 || got[0].GetWho() != "eve" || got[0].GetService() != "orders" || got[0].GetDenied().GetCount() != 2 {
		t.Errorf("after kill -9: %v", got)
	}
}
