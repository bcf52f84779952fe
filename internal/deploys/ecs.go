package deploys

import (
	"context"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Tasks is what ECS says of tasks: [awstest.ECS].
type Tasks interface {
	// RunTask starts a task and returns its ARN.
	RunTask(t awstest.Task) string
	// SetStatus says what a task is: lastStatus and desiredStatus.
	SetStatus(arn, last, desired string)
}

// The statuses of a task, in the order in which it has them.
const (
	taskProvisioning   = "PROVISIONING"
	taskPending        = "PENDING"
	taskActivating     = "ACTIVATING"
	taskRunning        = "RUNNING"
	taskDeactivating   = "DEACTIVATING"
	taskStopping       = "STOPPING"
	taskDeprovisioning = "DEPROVISIONING"
	taskStopped        = "STOPPED"
)

// ECS plays the scheduler of ECS and its agents for one service.
type ECS struct {
	*Workload
	api Tasks
	at  Service
}

// Service is where tasks run, and what they are called there.
type Service struct {
	Cluster, Name, Container string
}

// NewECS runs no task yet. The cluster must be there.
func NewECS(api Tasks, at Service, s Spec) *ECS {
	e := &ECS{api: api, at: at}
	e.Workload = &Workload{spec: s, on: e}
	return e
}

// start runs a task through its statuses until it is RUNNING.
func (e *ECS) start(ctx context.Context, r *Replica) error {
	r.arn = e.run(r, taskProvisioning)
	steps := []string{taskPending, taskActivating, taskRunning}
	for _, status := range steps {
		if err := poll.Pause(ctx, e.life().Start/time.Duration(len(steps))); err != nil {
			return err
		}
		e.api.SetStatus(r.arn, status, taskRunning)
	}
	return nil
}

// run makes a task of a replica and returns its ARN.
func (e *ECS) run(r *Replica, status string) string {
	return e.api.RunTask(awstest.Task{
		Cluster: e.at.Cluster, Group: "service:" + e.at.Name, Containers: []awstest.Container{{Name: e.at.Container}},
		Address: r.Address.Addr().String(), Zone: r.Zone, Last: status,
	})
}

// stop stops a task. What the API says of it changes at once; its agent learns of that, and sends SIGTERM, when it is STOPPING.
func (e *ECS) stop(ctx context.Context, r *Replica) (killed, err error) {
	life := e.life()
	if life.PreStop > 0 {
		e.api.SetStatus(r.arn, taskDeactivating, taskStopped)
		if err := poll.Pause(ctx, life.PreStop); err != nil {
			return nil, err
		}
	}
	told := make(chan error, 1)
	go func() {
		err := poll.Pause(ctx, life.Lag)
		if err == nil {
			e.api.SetStatus(r.arn, taskStopping, taskStopped)
		}
		told <- err
	}()
	killed = r.terminate(ctx, life, life.grace())
	if err := <-told; err != nil {
		return killed, err
	}
	for _, status := range []string{taskDeprovisioning, taskStopped} {
		e.api.SetStatus(r.arn, status, taskStopped)
	}
	return killed, nil
}
