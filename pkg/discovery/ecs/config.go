package ecs

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
)

// Config says how AWS is asked.
type Config struct {
	// Poll is how long after one look at a cluster the next one begins. 0 means 5 s; at least 1 s.
	Poll time.Duration
	// Rate is how many calls are sent in a second to each region, on average, of each of three kinds that AWS counts apart; four times
	// as many may come at once. 0 means 10, the half of what AWS grants an account. A cluster with so many tasks that this does not
	// suffice is looked at less often.
	Rate float64
	// Endpoint is the address of an emulator; empty means AWS.
	Endpoint string
	// Log gets what is for operators; nil means slog.Default().
	Log *slog.Logger

	http sdk.HTTPClient // of tests; nil otherwise
}

// The limits of the configuration.
const (
	defaultPoll = 5 * time.Second
	minPoll     = time.Second
	defaultRate = 10
	burst       = 4 // times the rate
)

// withDefaults returns the configuration with what was not said.
func (c Config) withDefaults() (Config, error) {
	c.Poll, c.Rate, c.Log = cmp.Or(c.Poll, defaultPoll), cmp.Or(c.Rate, defaultRate), cmp.Or(c.Log, slog.Default())
	if c.Poll < minPoll {
		return c, fmt.Errorf("the poll interval of ECS is %s; it is at least %s", c.Poll, minPoll)
	}
	if c.Rate <= 0 {
		return c, fmt.Errorf("the rate of calls to ECS is %g a second; it is more than 0", c.Rate)
	}
	return c, nil
}

// Actions lists what our AWS identity must be allowed, as IAM names it. The last two are needed only for tasks on EC2 in network mode
// bridge or host.
func Actions() []string {
	return []string{"ecs:ListTasks", "ecs:DescribeTasks", "ecs:DescribeServices", "ecs:DescribeContainerInstances", "ec2:DescribeInstances"}
}
