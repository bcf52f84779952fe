package hook

import (
	"encoding/json"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/crossfade-proxy/crossfade/pkg/engine"
)

const (
	contentType = "application/cloudevents+json; charset=utf-8"
	typePrefix  = "dev.crossfade.rollout."
	sourcePath  = "/crossfade/rollouts/"
)

// envelope is a CloudEvent 1.0 in JSON: https://github.com/cloudevents/spec, JSON event format.
type envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time,omitzero"`
	DataContentType string    `json:"datacontenttype"`
	Data            data      `json:"data"`
}

type data struct {
	Rollout json.RawMessage `json:"rollout"`
	Text    string          `json:"text"`
	Alarm   bool            `json:"alarm"`
}

// encode writes an event. The same event gives the same bytes.
func encode(e engine.Event) ([]byte, error) {
	rollout, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(e.Rollout)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{
		SpecVersion: "1.0", ID: e.ID, Source: sourcePath + url.PathEscape(e.Rollout.GetName()), Type: typePrefix + e.Type,
		Subject: e.Subject, Time: e.Time.UTC(), DataContentType: "application/json",
		Data: data{Rollout: rollout, Text: e.Text, Alarm: e.Alarm}, // json.Marshal takes out the spaces that protojson puts in by chance
	})
}
