package apdu

import "fmt"

// Response is one response APDU (应答): the data field and the status word.
type Response struct {
	Data []byte
	SW   SW
}

// ParseResponse decodes a response APDU. The data are a copy.
func ParseResponse(b []byte) (Response, error) {
	r, err := ViewResponse(b)
	r.Data = append([]byte(nil), r.Data...)
	return r, err
}

// ViewResponse is ParseResponse without the copy: the data are a part of b.
func ViewResponse(b []byte) (Response, error) {
	if len(b) < 2 {
		return Response{}, fmt.Errorf("response of %d bytes: %w: at least the status word", len(b), ErrMalformed)
	}
	end := len(b) - 2
	return Response{Data: b[:end:end], SW: SW(b[end])<<8 | SW(b[end+1])}, nil
}

// Bytes encodes the response.
func (r Response) Bytes() []byte { return r.AppendTo(make([]byte, 0, len(r.Data)+2)) }

// AppendTo is Bytes, appended to out.
func (r Response) AppendTo(out []byte) []byte {
	return append(append(out, r.Data...), byte(r.SW>>8), byte(r.SW))
}

// Err returns nil for 9000 and a StatusError otherwise.
func (r Response) Err() error {
	if r.SW == OK {
		return nil
	}
	return &StatusError{SW: r.SW}
}
