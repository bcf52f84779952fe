package telemetry

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestWaitingIsNotOnTheWay: a flush came when it came, not when it was decoded. Clocks that were late by the wait would make an interval begin after an
// acknowledgement that came in its midst.
func TestWaitingIsNotOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		free := tel.decoders.occupy()
		came := time.Now()
		ended := make(chan error)
		go func() { ended <- tel.exportRaw(asProxy(t.Context()), busyFlush(t, 1)) }()
		<-time.After(time.Second)
		free()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		p := tel.fleet("default").proxies["p1"]
		if at := p.clock.ours(second2); !at.Equal(came) {
			t.Errorf("it came %s late", at.Sub(came))
		}
		if got := tel.Proxies("default", time.Now()); !got[0].Reported.Equal(came) {
			t.Errorf("%+v", got)
		}
	})
}

// TestNobodyWaitsToBeRefused: for whom there is no place takes none of those who wait.
func TestNobodyWaitsToBeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{MaxProxies: 1})
		tel.Connected("default", "p1", true)
		tel.decoders.occupy()
		if err := tel.exportRaw(as(t.Context(), "default", "p2"), busyFlush(t, 1)); status.Code(err) != codes.ResourceExhausted || tel.Stats().Refused["too_many"] != 1 {
			t.Errorf("%v, %+v", err, tel.Stats())
		}
	})
}

// TestLoadReportsWaitAsFlushesDo: and one that was on its way when its clusters were asked for is not taken for a later one because it waited.
func TestLoadReportsWaitAsFlushesDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		busy(t, tel, "p1", "orders")
		proof := tel.Follow(changeOf("orders"))
		defer proof.Close()
		proof.Acked("p1", time.Now())
		expect(t, "acknowledged", p.asked(), "[orders/ecs orders/eks] 250ms")
		free := tel.decoders.occupy()
		p.reportAfter(t, 10*time.Millisecond, "orders", "carts")
		<-time.After(time.Second)
		if s := tel.Stats(); s.LoadReports != 0 {
			t.Errorf("it does not wait: %+v", s)
		}
		free()
		synctest.Wait()
		if s := proof.State(time.Now()); s.State != Pending || tel.Stats().LoadReports != 1 {
			t.Errorf("%+v, %+v", s, tel.Stats())
		}
	})
}
