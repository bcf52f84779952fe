package ecs

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossfade-proxy/crossfade/internal/awstest"
)

// edited is an HTTP client whose answers a test may change.
type edited struct {
	sdk.HTTPClient
	by atomic.Pointer[func(action string, answer map[string]any)]
}

func (h *edited) Do(r *http.Request) (*http.Response, error) {
	response, err := h.HTTPClient.Do(r)
	edit := h.by.Load()
	if err != nil || edit == nil {
		return response, err
	}
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	(*edit)(action, answer)
	body, err := json.Marshal(answer)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return response, err
}

// TestAnswersThatCannotBe: a part is never taken for the whole.
func TestAnswersThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		edit func(action string, answer map[string]any)
	}{
		"one task is not mentioned": {"!ecs_answer_odd", func(action string, answer map[string]any) {
			if action == "DescribeTasks" {
				answer["tasks"] = answer["tasks"].([]any)[1:]
			}
		}},
		"one task cannot be described": {"!ecs_answer_odd", func(action string, answer map[string]any) {
			if action == "DescribeTasks" {
				arn := answer["tasks"].([]any)[0].(map[string]any)["taskArn"]
				answer["tasks"] = answer["tasks"].([]any)[1:]
				answer["failures"] = []any{map[string]any{"arn": arn, "reason": "INTERNAL"}}
			}
		}},
		"a task is listed and missing": {"10.0.0.1 10.0.0.2", func(action string, answer map[string]any) {
			if action == "DescribeTasks" {
				arn := answer["tasks"].([]any)[0].(map[string]any)["taskArn"]
				answer["tasks"] = answer["tasks"].([]any)[1:]
				answer["failures"] = []any{map[string]any{"arn": arn, "reason": "MISSING"}}
			}
		}},
		"the list never ends": {"!ecs_answer_odd", func(action string, answer map[string]any) {
			if action == "ListTasks" {
				answer["nextToken"] = "0"
			}
		}},
		"another account answers": {"!ecs_account_changed", func(action string, answer map[string]any) {
			if action == "ListTasks" {
				answer["taskArns"] = []any{"arn:aws:ecs:eu-central-1:999999999999:task/prod/1"}
			}
		}},
		"another account answers for the service": {"!ecs_account_changed", func(action string, answer map[string]any) {
			switch action {
			case "ListTasks":
				answer["taskArns"] = []any{}
			case "DescribeTasks":
				for _, t := range answer["tasks"].([]any) {
					t.(map[string]any)["lastStatus"], t.(map[string]any)["desiredStatus"] = "STOPPING", "STOPPED"
				}
			case "DescribeServices":
				answer["services"].([]any)[0].(map[string]any)["serviceArn"] = "arn:aws:ecs:eu-central-1:999999999999:service/prod/orders"
			}
		}},
		"the service is not mentioned": {"!ecs_answer_odd", func(action string, answer map[string]any) {
			switch action {
			case "ListTasks":
				answer["taskArns"] = []any{}
			case "DescribeTasks":
				for _, t := range answer["tasks"].([]any) {
					t.(map[string]any)["lastStatus"], t.(map[string]any)["desiredStatus"] = "STOPPING", "STOPPED"
				}
			case "DescribeServices":
				answer["services"] = []any{}
			}
		}},
		"a word that is not known": {"!ecs_status_unknown", func(action string, answer map[string]any) {
			if action == "DescribeTasks" {
				for _, t := range answer["tasks"].([]any) {
					t.(map[string]any)["lastStatus"] = "SLEEPING"
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := awstest.NewECS()
			h := &edited{HTTPClient: e.Direct(region1).HTTPClient}
			bubble(t, Config{http: h, Rate: 1000}, func(t *testing.T, _ *awstest.ECS, client *Client) {
				e.CreateCluster("prod")
				e.SetService("prod", "orders", 2)
				e.RunTask(task1("10.0.0.1"))
				e.RunTask(task1("10.0.0.2"))
				w := watch(t, client, orders)
				w.expect(time.Second, "10.0.0.1 10.0.0.2")
				h.by.Store(&c.edit)
				w.expect(poll1, c.want)
				h.by.Store(nil)
				w.expect(2*poll1, "10.0.0.1 10.0.0.2")
			})
		})
	}
}
