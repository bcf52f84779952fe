package semantics

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is one side of an HTTP/2 connection, frame by frame: it checks, mends and refuses nothing.
type peer struct {
	net.Conn
	framer  *http2.Framer
	block   bytes.Buffer // of headers being written
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	fields  [][2]string // being read
	ends    bool        // with them
}

func newPeer(c net.Conn) *peer {
	p := &peer{Conn: c, framer: http2.NewFramer(c, c)}
	p.framer.AllowIllegalReads, p.framer.AllowIllegalWrites = true, true
	p.encoder = hpack.NewEncoder(&p.block)
	p.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { p.fields = append(p.fields, [2]string{f.Name, f.Value}) })
	return p
}

// head sends headers in pieces of at most so many bytes.
func (p *peer) head(stream uint32, fields [][2]string, end bool, piece int) error {
	p.block.Reset()
	for _, f := range fields {
		if err := p.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	b := p.block.Bytes()
	first := b[:min(piece, len(b))]
	b = b[len(first):]
	err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(b) == 0})
	for err == nil && len(b) > 0 {
		next := b[:min(piece, len(b))]
		b = b[len(next):]
		err = p.framer.WriteContinuation(stream, len(b) == 0, next)
	}
	return err
}

// frame is what arrives on a stream.
type frame struct {
	stream uint32
	fields [][2]string // of headers or trailers
	data   string
	ends   bool
	broken string // how the stream or the connection was ended instead
}

// next waits for a frame of a stream, and answers those of the connection.
func (p *peer) next() (frame, error) {
	for {
		got, err := p.framer.ReadFrame()
		if err != nil {
			return frame{}, err
		}
		switch f := got.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = p.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = p.framer.WritePing(true, f.Data)
			}
		case *http2.HeadersFrame:
			p.fields, p.ends = nil, f.StreamEnded()
			if _, err := p.decoder.Write(f.HeaderBlockFragment()); err != nil || f.HeadersEnded() {
				return frame{stream: f.StreamID, fields: p.fields, ends: p.ends}, err
			}
		case *http2.ContinuationFrame:
			if _, err := p.decoder.Write(f.HeaderBlockFragment()); err != nil || f.HeadersEnded() {
				return frame{stream: f.StreamID, fields: p.fields, ends: p.ends}, err
			}
		case *http2.DataFrame:
			out := frame{stream: f.StreamID, data: string(f.Data()), ends: f.StreamEnded()}
			if n := f.Length; n > 0 {
				err = errors.Join(p.framer.WriteWindowUpdate(0, n), p.framer.WriteWindowUpdate(f.StreamID, n))
			}
			return out, err
		case *http2.RSTStreamFrame:
			return frame{stream: f.StreamID, broken: "reset " + f.ErrCode.String()}, nil
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return frame{broken: "connection ended " + f.ErrCode.String()}, nil
			}
		}
		if err != nil {
			return frame{}, err
		}
	}
}

// request makes a message of the fields of a request.
func request2(fields [][2]string) message {
	var m message
	take := func(name string) string {
		for i, f := range fields {
			if f[0] == name {
				fields = append(append([][2]string(nil), fields[:i]...), fields[i+1:]...)
				return f[1]
			}
		}
		return ""
	}
	m.start = take(":method") + " " + take(":path") + " HTTP/2"
	m.header = fields
	return m
}

// answer2 makes one of those of an answer.
func answer2(fields [][2]string) message {
	m := message{start: "HTTP/2"}
	for _, f := range fields {
		if f[0] == ":status" {
			m.start += " " + f[1]
			continue
		}
		m.header = append(m.header, f)
	}
	return m
}

// ask2 sends a request and reads what comes back until the stream ends, one way or another.
func (p *peer) ask2(send []step) (got []message, err error) {
	if err := p.begin(); err != nil {
		return nil, err
	}
	for _, s := range send {
		if s(p, 1) != nil {
			break // it has ended the connection; what it said is there to be read
		}
	}
	whole := false // the last one has its final head
	for {
		f, err := p.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return append(got, message{start: "nothing more for 5 s"}), nil
		case err != nil:
			return append(got, message{start: "closed"}), nil //nolint:nilerr // that is what came
		case f.broken != "":
			return append(got, message{start: f.broken}), nil
		case f.stream != 1:
			continue
		case f.fields == nil:
			got[len(got)-1].body += f.data
		case whole:
			got[len(got)-1].trailer = f.fields
		default:
			got = append(got, answer2(f.fields))
			whole = !strings.HasPrefix(got[len(got)-1].status(), "1")
		}
		if f.ends {
			return got, nil
		}
	}
}

// step is something that a side sends on a stream.
type step func(p *peer, stream uint32) error

const inOne = 16_000 // bytes: less than the largest frame

// head2 sends headers or trailers.
func head2(end bool, fields ...[2]string) step {
	return func(p *peer, stream uint32) error { return p.head(stream, fields, end, inOne) }
}

// pieces2 sends headers in pieces.
func pieces2(piece int, fields ...[2]string) step {
	return func(p *peer, stream uint32) error { return p.head(stream, fields, true, piece) }
}

// body2 sends data.
func body2(text string, end bool) step {
	return func(p *peer, stream uint32) error { return p.framer.WriteData(stream, end, []byte(text)) }
}

// reset2 ends a stream.
func reset2(code http2.ErrCode) step {
	return func(p *peer, stream uint32) error { return p.framer.WriteRSTStream(stream, code) }
}
