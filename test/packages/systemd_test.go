package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unit is a unit file: section, key, values in order.
type unit map[string]map[string][]string

// readUnit reads a unit, strictly.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			u[section] = map[string][]string{}
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" || !known[key] {
				t.Fatalf("%s:%d: %q is no setting that is known here", name, n+1, line)
			}
			u[section][key] = append(u[section][key], value)
		}
	}
	return u
}

// one is the only value of a setting.
func (u unit) one(t *testing.T, section, key string) string {
	t.Helper()
	if len(u[section][key]) != 1 {
		t.Fatalf("[%s] %s is there %d times, want once", section, key, len(u[section][key]))
	}
	return u[section][key][0]
}

// known are the settings that the units use; a new one is looked up in systemd.exec(5) or systemd.service(5) and added.
var known = func() map[string]bool {
	out := map[string]bool{}
	for key := range strings.FieldsSeq(`Description Documentation Wants After StartLimitIntervalSec Type ExecStart ExecReload Restart RestartSec
		TimeoutStopSec KillMode User Group StateDirectory StateDirectoryMode ConfigurationDirectory ConfigurationDirectoryMode UMask LimitNOFILE
		Environment EnvironmentFile NoNewPrivileges CapabilityBoundingSet AmbientCapabilities LockPersonality MemoryDenyWriteExecute PrivateDevices
		PrivateTmp PrivateUsers ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
		ProtectKernelTunables ProtectProc ProtectSystem RemoveIPC RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID
		SystemCallArchitectures SystemCallErrorNumber SystemCallFilter WantedBy`) {
		out[key] = true
	}
	return out
}()

func TestUnits(t *testing.T) {
	server, proxy := readUnit(t, "xds-server.service"), readUnit(t, "crossfade-proxy.service")
	for name, u := range map[string]unit{"xds-server": server, "crossfade-proxy": proxy} {
		for key, want := range map[string]string{"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "Restart": "always", "KillMode": "mixed", "Type": "exec"} {
			if got := u.one(t, "Service", key); got != want {
				t.Errorf("%s: %s=%s, want %s", name, key, got, want)
			}
		}
		if user := u.one(t, "Service", "User"); user == "root" || user == "" {
			t.Errorf("%s runs as %q", name, user)
		}
		users, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", "crossfade.sysusers"))
		if err != nil || !strings.Contains(string(users), "\nu "+u.one(t, "Service", "User")+" - ") {
			t.Errorf("%s: its user is not made: %v", name, err)
		}
	}
	if got := server.one(t, "Service", "ExecReload"); got != "/bin/kill -HUP $MAINPID" {
		t.Errorf("a reload of xds-server is %q", got)
	}
	// The proxy gets the time that run.sh takes, and some to end.
	took := 0
	for setting := range strings.FieldsSeq(proxy.one(t, "Service", "Environment")) {
		for _, key := range []string{"CROSSFADE_GRACE=", "CROSSFADE_DRAIN="} {
			if value, ok := strings.CutPrefix(setting, key); ok {
				seconds, err := strconv.Atoi(value)
				if err != nil {
					t.Error(err)
				}
				took += seconds
			}
		}
	}
	limit, err := time.ParseDuration(proxy.one(t, "Service", "TimeoutStopSec"))
	if err != nil || took != 75 || limit < time.Duration(took+10)*time.Second {
		t.Errorf("the proxy drains for %d s and is killed after %v, %v", took, limit, err)
	}
}

// TestUnitsBySystemd: where systemd is installed, it reads the units without a word, and holds them for well closed off.
func TestUnitsBySystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("no systemd here: only TestUnits looks at the units")
		return
	}
	for name, program := range map[string]string{"xds-server.service": "/usr/bin/xds-server", "crossfade-proxy.service": "/usr/lib/crossfade/run.sh"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "ExecStart="+program+" ") {
			t.Errorf("%s does not start %s", name, program)
		}
		// The program is not installed here.
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "ExecStart="+program, "ExecStart=/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), analyze, "--man=no", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), analyze, "security", "--no-pager", "--offline=yes", "--threshold=20", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
