package ci

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/child"
)

// process is a running job.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

// output is what a process prints, while it prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
	at chan struct{} // closed when there is more
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more())
	o.at = nil
	return o.b.Write(p)
}

func (o *output) more() chan struct{} {
	if o.at == nil {
		o.at = make(chan struct{})
	}
	return o.at
}

// String is all so far.
func (o *output) String() string {
	s, _ := o.sofar()
	return s
}

func (o *output) sofar() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.more()
}

// workspace is a folder with what a user copied.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(root, "deploy", "ci", "canary.sh"))
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "ci"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ci", "canary.sh"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs the script of a job in a workspace, with more variables.
func (j job) start(t *testing.T, dir string, more ...string) *process {
	t.Helper()
	return j.run(t, dir, j.script, more)
}

// summarize runs what comes after it, and returns the report.
func (j job) summarize(t *testing.T, dir string) string {
	t.Helper()
	if code := j.run(t, dir, j.summary, nil).wait(); code != 0 {
		t.Errorf("the summary ended with %d", code)
	}
	b, err := os.ReadFile(filepath.Join(dir, j.report))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func (j job) run(t *testing.T, dir, script string, more []string) *process {
	t.Helper()
	argv := slices.Clone(j.command)
	if !j.stdin {
		file := filepath.Join(dir, "step.sh")
		if err := os.WriteFile(file, []byte(script+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, file)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	if j.stdin {
		cmd.Stdin = strings.NewReader(script)
	}
	cmd.Dir = dir
	for _, k := range slices.Sorted(maps.Keys(j.env)) {
		cmd.Env = append(cmd.Env, k+"="+j.env[k])
	}
	cmd.Env = append(cmd.Env, more...)
	return start(t, cmd)
}

// start runs a command with the programs that were built. It ends with the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Env = append([]string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + t.TempDir(), "USER=runner"}, cmd.Env...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &p.out, &p.out, child.Attributes()
	cmd.WaitDelay = time.Second // a child of it that is left does not keep the test
	if err := child.Start(cmd, p.done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its children
		<-p.done
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(cmd.Args, " "), &p.out)
		}
	})
	return p
}

// says waits until the process has printed a word.
func (p *process) says(word string) {
	p.t.Helper()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	for {
		text, more := p.out.sofar()
		if strings.Contains(text, word) {
			return
		}
		select {
		case <-more:
		case <-p.done:
			if !strings.Contains(p.out.String(), word) {
				p.t.Fatalf("it ended and did not say %q", word)
			}
		case <-patience.C:
			p.t.Fatalf("it does not say %q", word)
		}
	}
}

// signal reaches the process that the CI system started, and no child of it: that is how runners cancel.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns the exit code; -1 if a signal ended it.
func (p *process) wait() int {
	p.t.Helper()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		p.t.Fatal("it does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// ends waits for the end and holds the exit code against what is wanted.
func (p *process) ends(code int) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Fatalf("exit %d, want %d", got, code)
	}
}
