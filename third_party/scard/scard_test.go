package scard

import (
	"runtime"
	"testing"
)

// FIXME: all tests assume pcscd is running, and there is a single reader with a
// card present

type testCard struct {
	ctx  *Context
	card *Card
}

func setup(t *testing.T) *testCard {
	var ctx *Context
	var card *Card

	ctx, err := EstablishContext()
	if err != nil {
		t.Skipf("EstablishContext: %s", err)
		t.SkipNow()
	}

	defer func() {
		if card == nil {
			ctx.Release()
		}
	}()

	readers, err := ctx.ListReaders()
	if err != nil {
		t.Error(err)
		t.FailNow()
	}

	if len(readers) == 0 {
		t.Skip("no smartcard reader found")
		t.SkipNow()
	}

	card, err = ctx.Connect(readers[0], ShareExclusive, ProtocolAny)
	if err != nil {
		t.Skip("no smartcard found")
		t.SkipNow()
	}
	return &testCard{ctx: ctx, card: card}
}

func teardown(c *testCard) {
	if c.card != nil {
		c.card.Disconnect(LeaveCard)
	}

	if c.ctx != nil {
		c.ctx.Release()
	}
}

func TestListReaders(t *testing.T) {
	ctx, err := EstablishContext()
	if err != nil {
		t.Skipf("EstablishContext: %s", err)
		t.SkipNow()
	}
	defer ctx.Release()
	readers, err := ctx.ListReaders()
	if err != nil {
		t.Fatal(err)
	}
	for _, reader := range readers {
		t.Log(reader)
	}
}

func TestListReaderGroups(t *testing.T) {
	ctx, err := EstablishContext()
	if err != nil {
		t.Skipf("EstablishContext: %s", err)
		t.SkipNow()
	}
	defer ctx.Release()
	groups, err := ctx.ListReaderGroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		t.Log(group)
	}
}

func TestTransmit(t *testing.T) {
	c := setup(t)
	defer teardown(c)

	var cmd = []byte{0x00, 0xa4, 0x00, 0x0c, 0x02, 0x3f, 0x00} // SELECT MF

	t.Logf("cmd: % x\n", cmd)
	rsp, err := c.card.Transmit(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("rsp: % x\n", rsp)
}

func TestControl(t *testing.T) {
	c := setup(t)
	defer teardown(c)

	// euh...
	ioctl := uint32(0x42000000) + 3400 // CM_IOCTL_GET_FEATURE_REQUEST
	if runtime.GOOS == "windows" {
		ioctl = 0x00310000 + 3400<<2
	}

	rsp, err := c.card.Control(ioctl, nil)
	if err != nil {
		// skip on unsupported control code errors
		if runtime.GOOS == "windows" {
			if err, ok := err.(Error); ok {
				if uintptr(err) == 1 {
					t.Skip()
				}
			}
		}
		t.Fatal(err)
	}
	t.Logf("rsp: % x\n", rsp)
}

func TestStatus(t *testing.T) {
	c := setup(t)
	defer teardown(c)

	status, err := c.card.Status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+#v\n", status)
}

func TestGetAttrib(t *testing.T) {
	c := setup(t)
	defer teardown(c)

	atr, err := c.card.GetAttrib(AttrAtrString)
	if err != nil {
		t.Error(err)
	} else {
		t.Logf("ATTR_ATR_STRING: % x\n", atr)
	}

	vendor, err := c.card.GetAttrib(AttrVendorName)
	if err != nil {
		t.Error(err)
	} else {
		t.Logf("ATTR_VENDOR_NAME: %s [% x]\n", string(vendor), vendor)
	}
}

func TestEmptyInput(t *testing.T) {
	rsp := make([]byte, 258)
	card := &Card{activeProtocol: ProtocolT0}
	if _, err := card.Transmit(nil); err != ErrInvalidParameter {
		t.Errorf("Transmit(nil): %v", err)
	}
	if _, err := card.TransmitInto(nil, rsp); err != ErrInvalidParameter {
		t.Errorf("TransmitInto(nil, rsp): %v", err)
	}
	if _, err := card.TransmitInto([]byte{0, 0x84, 0, 0, 8}, nil); err != ErrInsufficientBuffer {
		t.Errorf("TransmitInto(cmd, nil): %v", err)
	}
	if err := card.SetAttrib(AttrVendorName, nil); err != ErrInvalidParameter {
		t.Errorf("SetAttrib(nil): %v", err)
	}
	if err := new(Context).GetStatusChange(nil, 0); err != ErrInvalidParameter {
		t.Errorf("GetStatusChange(nil): %v", err)
	}
	card.activeProtocol = ProtocolUndefined
	if _, err := card.Transmit([]byte{0, 0x84, 0, 0, 8}); err != ErrProtoMismatch {
		t.Errorf("Transmit without a protocol: %v", err)
	}
}

func TestTransmitInto(t *testing.T) {
	c := setup(t)
	defer teardown(c)

	cmd := []byte{0x00, 0x84, 0x00, 0x00, 0x08} // GET CHALLENGE
	rsp := make([]byte, 258)
	var err error
	allocs := testing.AllocsPerRun(100, func() { _, err = c.card.TransmitInto(cmd, rsp) })
	if err != nil {
		t.Fatal(err)
	}
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
