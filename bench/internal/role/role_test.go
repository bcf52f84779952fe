package role

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if Serve(map[string]any{"adder": &adder{}}) {
		return
	}
	os.Exit(m.Run())
}

// adder is a service.
type adder struct{}

// Add adds.
func (*adder) Add(args [2]int, sum *int) error {
	*sum = args[0] + args[1]
	return nil
}

// PID returns that of the process that serves, and the value of a variable.
func (*adder) PID(variable string, out *struct {
	PID   int
	Value string
},
) error {
	out.PID, out.Value = os.Getpid(), os.Getenv(variable)
	return nil
}

// Hang never answers.
func (*adder) Hang(struct{}, *struct{}) error { select {} }

func TestChild(t *testing.T) {
	c, err := Start("adder", "OF_A_CHILD=yes")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var sum int
	if err := c.Call(t.Context(), "Add", [2]int{3, 4}, &sum); err != nil || sum != 7 {
		t.Errorf("3 + 4 = %d, %v", sum, err)
	}
	var got struct {
		PID   int
		Value string
	}
	if err := c.Call(t.Context(), "PID", "OF_A_CHILD", &got); err != nil || got.PID != c.PID() || got.PID == os.Getpid() || got.Value != "yes" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Call(t.Context(), "Subtract", 1, nil); err == nil || !strings.Contains(err.Error(), "adder: Subtract: ") {
		t.Errorf("no such method: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, "Hang", struct{}{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up: %v", err)
	}
	c.Kill()
	if err := c.Call(t.Context(), "Hang", struct{}{}, nil); err == nil {
		t.Error("a child that was killed answers")
	}
}

func TestNoSuchRole(t *testing.T) {
	if err := serve("x", nil); err == nil {
		t.Error("served")
	}
	c, err := Start("subtractor")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(t.Context(), "Add", [2]int{}, nil); err == nil {
		t.Error("a child without a role answers")
	}
}
