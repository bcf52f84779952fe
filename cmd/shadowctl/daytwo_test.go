package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// adminDouble stands for the part of a server that operators ask.
type adminDouble struct {
	crossfadev1.UnimplementedAdminServiceServer
	parts []*crossfadev1.BackupResponse
	fails error // after the parts
	log   *crossfadev1.SetLogLevelRequest
}

func (d *adminDouble) Backup(_ *crossfadev1.BackupRequest, out grpc.ServerStreamingServer[crossfadev1.BackupResponse]) error {
	for _, p := range d.parts {
		if err := out.Send(p); err != nil {
			return err
		}
	}
	return d.fails
}

func (d *adminDouble) SetLogLevel(_ context.Context, r *crossfadev1.SetLogLevelRequest) (*crossfadev1.SetLogLevelResponse, error) {
	d.log = r
	out := &crossfadev1.SetLogLevelResponse{Level: "info", Configured: "info"}
	if r.GetLevel() != "" {
		out.Level = r.GetLevel()
	}
	if r.GetDuration() != nil {
		out.Until = timestamppb.New(now.Add(r.GetDuration().AsDuration()))
	}
	return out, nil
}

func (d *adminDouble) GetDiagnostics(r *crossfadev1.GetDiagnosticsRequest, out grpc.ServerStreamingServer[crossfadev1.GetDiagnosticsResponse]) error {
	for _, name := range []string{"settings.yaml", "log.txt"} {
		if err := out.Send(&crossfadev1.GetDiagnosticsResponse{Name: name, Description: "what it is"}); err != nil {
			return err
		}
		for _, data := range []string{"one ", "two"} {
			if err := out.Send(&crossfadev1.GetDiagnosticsResponse{Name: name, Data: []byte(data)}); err != nil && !r.GetNamesOnly() {
				return err
			}
		}
	}
	return nil
}

// serveAdmin starts a double that answers operators, and others too where there is one.
func serveAdmin(t *testing.T, a *adminDouble, d *double) *double {
	t.Helper()
	return serveWith(t, d, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		if strings.Contains(info.FullMethod, "AdminService") {
			return h(ctx, req)
		}
		return d.intercept(ctx, req, info, h)
	}, func(server *grpc.Server) { crossfadev1.RegisterAdminServiceServer(server, a) })
}

// backupParts are a backup of two pieces.
func backupParts() []*crossfadev1.BackupResponse {
	sum := sha256.Sum256([]byte("onetwo"))
	return []*crossfadev1.BackupResponse{
		{Part: &crossfadev1.BackupResponse_Begin{Begin: &crossfadev1.BackupBegin{Revision: 42, Revisions: 40, JournalEntries: 1, Version: "v1"}}},
		{Part: &crossfadev1.BackupResponse_Data{Data: []byte("one")}},
		{Part: &crossfadev1.BackupResponse_Data{Data: []byte("two")}},
		{Part: &crossfadev1.BackupResponse_End{End: &crossfadev1.BackupEnd{Bytes: 6, Sha256: sum[:], Revisions: 40, Live: 3}}},
	}
}

func TestABackupIsAFileOnceItIsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "backup")
	d := serveAdmin(t, &adminDouble{parts: backupParts()}, &double{})
	r := d.at(t, "backup", path)
	if r.exit != 0 || !strings.Contains(r.out, "revision 42, 3 live, 40 of history, 6 bytes") || !strings.Contains(r.out, "not recorded") {
		t.Fatalf("%+v", r)
	}
	if r := d.at(t, "backup", path); r.exit != int(exitInvalid) || !strings.Contains(r.err, "--force") {
		t.Fatalf("over a file: %+v", r)
	}
	if r := d.at(t, "backup", path, "--force", "-o", "json"); r.exit != 0 || !strings.Contains(r.out, `"revision": 42`) {
		t.Fatalf("with --force: %+v", r)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "onetwo" {
		t.Fatalf("%q %v", data, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("others may read it: %v %v", info.Mode(), err)
	}
	onlyFiles(t, dir, "backup")
}

// TestABackupThatDoesNotArriveWholeLeavesNothing, and not the file that was there harmed.
func TestABackupThatDoesNotArriveWholeLeavesNothing(t *testing.T) {
	end := func(change func(*crossfadev1.BackupEnd)) []*crossfadev1.BackupResponse {
		p := backupParts()
		change(p[3].GetEnd())
		return p
	}
	for name, a := range map[string]*adminDouble{
		"no end":    {parts: backupParts()[:3]},
		"no begin":  {parts: backupParts()[1:]},
		"one less":  {parts: append(backupParts()[:2:2], backupParts()[3])},
		"bad sum":   {parts: end(func(e *crossfadev1.BackupEnd) { e.Sha256[0] ^= 1 })},
		"bad size":  {parts: end(func(e *crossfadev1.BackupEnd) { e.Bytes++ })},
		"an error":  {parts: backupParts(), fails: errors.New("broken")},
		"broken at": {parts: backupParts()[:2], fails: errors.New("broken")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "backup")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := serveAdmin(t, a, &double{})
			if r := d.at(t, "backup", path, "--force"); r.exit == 0 {
				t.Fatalf("%+v", r)
			}
			if data, _ := os.ReadFile(path); string(data) != "old" {
				t.Fatalf("the file is %q", data)
			}
			onlyFiles(t, dir, "backup")
		})
	}
}

func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if strings.Join(have, " ") != strings.Join(want, " ") {
		t.Fatalf("in the folder: %v, want %v", have, want)
	}
}

func TestLogLevel(t *testing.T) {
	a := &adminDouble{}
	d := serveAdmin(t, a, &double{})
	for _, tt := range []struct {
		args string
		exit exitCode
		want string
	}{
		{"admin log-level", exitOK, "The log tells info.\n"},
		{"admin log-level debug", exitOK, "The log tells debug until the server ends; then info.\n"},
		{"admin log-level debug --for 10m", exitOK, "The log tells debug for 10m0s, then info.\n"},
		{"admin log-level loud", exitInvalid, ""},
		{"admin log-level --for 10m", exitInvalid, ""},
		{"admin log-level debug --for 25h", exitInvalid, ""},
		{"admin log-level debug --for 999ms", exitInvalid, ""},
	} {
		if r := d.at(t, strings.Fields(tt.args)...); r.exit != int(tt.exit) || r.out != tt.want {
			t.Errorf("%s: %+v", tt.args, r)
		}
	}
}

// TestASupportBundleHidesWhatMayBeSecret: conditions of pins and mirrors, and paths of hooks, wherever documents are.
func TestASupportBundleHidesWhatMayBeSecret(t *testing.T) {
	doc := ordersDocument(9000)
	match := func(c string) *crossfadev1.ValueMatch {
		return &crossfadev1.ValueMatch{Name: "authorization", Condition: &crossfadev1.ValueMatch_Exact{Exact: c}}
	}
	doc.GetService().Pins = []*crossfadev1.Pin{
		{Name: "h", Origin: "eks", Match: &crossfadev1.Pin_Header{Header: match("planted-1")}},
		{Name: "c", Origin: "eks", Match: &crossfadev1.Pin_Cookie{Cookie: &crossfadev1.ValueMatch{Name: "session", Condition: &crossfadev1.ValueMatch_Prefix{Prefix: "planted-2"}}}},
		{Name: "q", Origin: "eks", Match: &crossfadev1.Pin_Query{Query: &crossfadev1.ValueMatch{Name: "key", Condition: &crossfadev1.ValueMatch_Regex{Regex: "planted-3"}}}},
	}
	mirror := &crossfadev1.Document{Object: &crossfadev1.Document_Mirror{Mirror: &crossfadev1.Mirror{Name: "m1", Service: "orders", Headers: []*crossfadev1.ValueMatch{match("planted-4")}}}}
	rollout := &crossfadev1.Document{Object: &crossfadev1.Document_Rollout{Rollout: &crossfadev1.Rollout{Name: "r1", Hook: &crossfadev1.RolloutHook{Url: "https://hooks.test/planted-5?x=planted-6"}}}}
	d := serveAdmin(t, &adminDouble{}, &double{answer: canned(map[string]proto.Message{
		"GetServerInfo": &crossfadev1.GetServerInfoResponse{Version: "v1"}, "ListProxies": &crossfadev1.ListProxiesResponse{},
		"List": &crossfadev1.ListResponse{Items: []*crossfadev1.ServiceStatus{ordersStatus()}}, "Get": &crossfadev1.GetResponse{Document: doc},
		"ListHistory": &crossfadev1.ListHistoryResponse{Items: []*crossfadev1.Revision{
			{Revision: 1, Kind: "Service", Before: doc, After: doc}, {Revision: 2, Kind: "Mirror", After: mirror}, {Revision: 3, Kind: "Rollout", After: rollout},
		}},
		"ListRollouts": &crossfadev1.ListRolloutsResponse{}, // ListMirrors has no answer: the rest must be there all the same
	})})
	path := filepath.Join(t.TempDir(), "s.tar.gz")
	if r := d.at(t, "support-bundle", path); r.exit != 0 {
		t.Fatalf("%+v", r)
	}
	files := unpack(t, path)
	for name, text := range files {
		if strings.Contains(text, "planted") {
			t.Errorf("%s shows a secret: %s", name, text)
		}
	}
	for name, want := range map[string]string{
		"documents.json": `"name": "authorization"`, "history.json": "https://hooks.test/(hidden)", "log.txt": "one two", "settings.yaml": "one two", "mirrors.json": `"error"`,
		"version.json": `"v1"`, "fleet.json": "items", "services.json": "orders", "rollouts.json": "items",
	} {
		if !strings.Contains(files["crossfade-support/"+name], want) {
			t.Errorf("%s lacks %q: %q", name, want, files["crossfade-support/"+name])
		}
	}
	if doc.GetService().GetPins()[0].GetHeader().GetExact() != "planted-1" {
		t.Error("the document itself was changed")
	}
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(b)
	}
}

// TestADryRunListsAndWritesNothing.
func TestADryRunListsAndWritesNothing(t *testing.T) {
	d := serveAdmin(t, &adminDouble{}, &double{answer: canned(nil)})
	dir := t.TempDir()
	for _, args := range [][]string{{"support-bundle", "--dry-run"}, {"support-bundle", "--dry-run", filepath.Join(dir, "x.tar.gz")}} {
		r := d.at(t, args...)
		if r.exit != 0 || !strings.Contains(r.out, "history.json") || !strings.Contains(r.out, "log.txt") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	onlyFiles(t, dir)
	if n := len(d.asked()); n != 0 {
		t.Errorf("%d calls for a list", n)
	}
	if r := d.at(t, "support-bundle"); r.exit != int(exitInvalid) {
		t.Errorf("without a file: %+v", r)
	}
}
