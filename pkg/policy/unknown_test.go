package policy

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
)

// newer adds a field that only a later version knows.
func newer(m proto.Message, number protowire.Number) {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), 1))
}

// TestFieldsOfANewerVersionAreRefused: wherever they are, and by every kind of document.
func TestFieldsOfANewerVersionAreRefused(t *testing.T) {
	service := &crossfadev1.Service{
		ApiVersion: APIVersion, Kind: KindService, Name: "orders", Hosts: []string{"orders.test"}, Primary: "ecs", Listener: &crossfadev1.Listener{Port: 10000},
		Origins: []*crossfadev1.Origin{static("ecs"), static("eks")},
	}
	if _, errs := CompileService(service); len(errs) > 0 {
		t.Fatal(errs)
	}
	newer(service, 900)
	newer(service.GetListener(), 901)
	newer(service.GetOrigins()[1], 902)
	newer(service.GetOrigins()[1].GetStatic(), 903)
	_, errs := CompileService(service)
	var got []string
	for _, e := range errs {
		if e.Code != "unknown_field" || e.Kind != Invalid {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Field)
	}
	if want := "[ listener origins[1] origins[1].static]"; fmt.Sprint(got) != want {
		t.Errorf("refused: %v, want %s", got, want)
	}
	fleet := &crossfadev1.Fleet{ApiVersion: APIVersion, Kind: KindFleet, Name: "default"}
	mirror := &crossfadev1.Mirror{ApiVersion: APIVersion, Kind: KindMirror, Name: "m", Service: "orders"}
	newer(fleet, 900)
	newer(mirror, 900)
	_, ofFleet := CompileFleet(fleet)
	_, ofMirror := CompileMirror(mirror)
	for _, errs := range []Errors{ofFleet, ofMirror} {
		if len(errs) == 0 || errs[0].Code != "unknown_field" {
			t.Errorf("%v", errs)
		}
	}
}

func static(name string) *crossfadev1.Origin {
	return &crossfadev1.Origin{Name: name, Discovery: &crossfadev1.Origin_Static{Static: &crossfadev1.StaticEndpoints{Endpoints: []string{"127.0.0.1:1"}}}}
}
